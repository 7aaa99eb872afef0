/** Watch the page from here on; the function ends that and tells for how long it was hidden, ms. */
export function watchHidden(): () => number {
  let since = document.hidden ? performance.now() : null;
  let total = 0;
  const watch = () => {
    if (since !== null) total += performance.now() - since;
    since = document.hidden ? performance.now() : null;
  };
  document.addEventListener("visibilitychange", watch);
  return () => {
    document.removeEventListener("visibilitychange", watch);
    watch();
    return total;
  };
}
