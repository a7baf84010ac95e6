"""The client that everybody writes first: AsyncOpenAI and a semaphore."""

# mypy: ignore-errors
from __future__ import annotations

import asyncio

from measured import Asked, main
from openai import AsyncOpenAI


async def _ask(asked: Asked) -> int:
    free = asyncio.Semaphore(asked["at_once"])
    async with AsyncOpenAI(base_url=asked["base_url"], api_key="none", max_retries=5) as client:

        async def one(prompt: str) -> str:
            async with free:
                answer = await client.chat.completions.create(
                    model=asked["model"], messages=[{"role": "user", "content": prompt}]
                )
                return answer.choices[0].message.content or ""

        return len(await asyncio.gather(*map(one, asked["prompts"])))


if __name__ == "__main__":
    main(lambda asked: asyncio.run(_ask(asked)))
