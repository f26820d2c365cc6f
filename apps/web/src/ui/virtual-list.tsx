// A list of any length: only the rows in view are in the page. Rows have one fixed height.
import { type ReactNode, useLayoutEffect, useRef, useState } from "react";
import { visibleRows } from "./visible-rows.ts";

export type RowPlace = {
  /** What to give the row's element: its place in the list. */
  readonly style: { readonly top: number; readonly height: number };
  readonly "aria-posinset": number;
  readonly "aria-setsize": number;
};

export type VirtualListProps = {
  readonly label: string;
  readonly count: number;
  readonly rowHeight: number;
  /** The list's own height, in pixels, at most. */
  readonly heightMax: number;
  readonly row: (index: number, place: RowPlace) => ReactNode;
  /** Scroll there when it changes. */
  readonly reveal?: number | null;
  /** How many rows there were before; keeps what is read in place when rows come in at the top. */
  readonly anchor?: "top" | "none";
};

export function VirtualList(props: VirtualListProps): ReactNode {
  const { label, count, rowHeight, heightMax, row, reveal = null, anchor = "none" } = props;
  const box = useRef<HTMLElement>(null);
  const [scrollTop, setScrollTop] = useState(0);
  const countBefore = useRef(count);
  // What the browser told last: asking it for the place would make it lay out the whole page.
  const isScrolled = useRef(false);
  const height = Math.min(heightMax, Math.max(rowHeight, count * rowHeight));

  useLayoutEffect(() => {
    const came = count - countBefore.current;
    countBefore.current = count;
    const element = box.current;
    if (anchor === "top" && element && came > 0 && isScrolled.current) {
      element.scrollTop += came * rowHeight;
    }
  }, [count, anchor, rowHeight]);

  useLayoutEffect(() => {
    const element = box.current;
    if (reveal === null || !element) return;
    const top = reveal * rowHeight;
    if (top < element.scrollTop || top + rowHeight > element.scrollTop + element.clientHeight) {
      element.scrollTop = top - element.clientHeight / 2;
    }
  }, [reveal, rowHeight]);

  const { from, to } = visibleRows(scrollTop, height, { count, rowHeight });
  const rows: ReactNode[] = [];
  for (let index = from; index < to; index++) {
    const style = { top: index * rowHeight, height: rowHeight };
    rows.push(row(index, { style, "aria-posinset": index + 1, "aria-setsize": count }));
  }
  return (
    <section
      ref={box}
      className="list"
      aria-label={label}
      // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard
      tabIndex={0}
      style={{ height }}
      onScroll={({ currentTarget }) => {
        isScrolled.current = currentTarget.scrollTop > 0;
        setScrollTop(currentTarget.scrollTop);
      }}
    >
      <ul className="list-space" style={{ height: count * rowHeight }}>
        {rows}
      </ul>
    </section>
  );
}
