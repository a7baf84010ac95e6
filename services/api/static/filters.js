// A filter that is chosen is applied at once; text waits for Enter or the button.
for (const select of document.querySelectorAll("#filters select")) {
  select.addEventListener("change", () => select.form.requestSubmit());
}
