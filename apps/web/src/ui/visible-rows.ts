// Which rows of a long list are in view.
const MARGIN_ROWS = 6;

/** The rows that a window of the list shows, some beyond its edges included. */
export function visibleRows(
  scrollTop: number,
  height: number,
  list: { readonly count: number; readonly rowHeight: number },
): { readonly from: number; readonly to: number } {
  const { count, rowHeight } = list;
  const from = Math.max(0, Math.floor(scrollTop / rowHeight) - MARGIN_ROWS);
  const to = Math.min(count, Math.ceil((scrollTop + height) / rowHeight) + MARGIN_ROWS);
  return { from: Math.min(from, to), to };
}
