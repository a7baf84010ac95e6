"""The local cache of the store's files by content: models, checkpoints, datasets and every other committed file.

    <root>/<2 hex>/<sha256>              a file, read-only, as it was when its hash was checked
    <root>/<2 hex>/<sha256>.<size>.part  a download that has not ended; the next one goes on from there
    <root>/folders/<sha256>/             links to files under a model's names, as `from_pretrained` takes them
    <root>/lock, <root>/bytes            held while room is made; about how many bytes there are

The folder is all that its processes share. A file is in use while anybody has a shared lock (flock) on it, a download
is somebody's while its lock is exclusive; the kernel lets go of both however a process ends.
"""

from shared.filecache.cache import FileCache
from shared.filecache.download import WrongContent
from shared.filecache.entries import Wanted

__all__ = ["FileCache", "Wanted", "WrongContent"]
