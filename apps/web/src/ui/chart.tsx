// A chart for long series: uPlot on a canvas, in the page's colours, with words for who cannot see.
import { type ReactNode, useEffect, useRef, useState } from "react";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";

export type SeriesLook = {
  readonly label: string;
  /** A custom property of the tokens, such as --accent. */
  readonly color: string;
  readonly width?: number;
  readonly kind?: "line" | "dots" | "bars";
};

export type ChartProps = {
  /** x ascending, then one array per series. */
  readonly data: readonly (readonly (number | null)[])[];
  readonly series: readonly SeriesLook[];
  readonly height: number;
  readonly logarithmic?: boolean;
  /** What the picture says, in words. */
  readonly words: string;
  readonly xText: (value: number) => string;
  readonly yText: (value: number) => string;
  /** What to say about the place under the pointer. */
  readonly tip: (index: number) => string;
};

function cssColor(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim() || "#888";
}

/** Changes when light turns to dark, or the other way: canvases must be painted anew. */
export function useThemeEpoch(): number {
  const [epoch, setEpoch] = useState(0);
  useEffect(() => {
    const query = matchMedia("(prefers-color-scheme: dark)");
    const change = (): void => setEpoch((before) => before + 1);
    query.addEventListener("change", change);
    const observer = new MutationObserver(change);
    observer.observe(document.documentElement, { attributeFilter: ["data-theme"] });
    return () => {
      query.removeEventListener("change", change);
      observer.disconnect();
    };
  }, []);
  return epoch;
}

function axisOf(text: (value: number) => string, space: number): uPlot.Axis {
  return {
    stroke: cssColor("--soft"),
    grid: { stroke: cssColor("--line"), width: 1 },
    ticks: { show: false },
    font: "12px system-ui, sans-serif",
    space,
    values: (_, splits) => splits.map((value) => (value === null ? "" : text(value))),
  };
}

function seriesOf(look: SeriesLook): uPlot.Series {
  const stroke = cssColor(look.color);
  const { bars, linear } = uPlot.paths;
  const shared = { label: look.label, stroke, width: look.width ?? 2, spanGaps: true };
  if (look.kind === "bars" && bars) {
    const paths = bars({ size: [0.82, 24, 1], radius: 0.2 });
    return { ...shared, width: 0, fill: stroke, paths, points: { show: false } };
  }
  if (look.kind === "dots") {
    return { ...shared, points: { show: hasRoom, size: 6, fill: stroke, width: 0 } };
  }
  return { ...shared, ...(linear ? { paths: linear() } : {}), points: { show: false } };
}

/** More dots than these run into one another: the line alone is clearer. */
const DOTS_MAX = 60;

function hasRoom({ data }: uPlot, series: number): boolean {
  const values = data[series] ?? [];
  return Array.prototype.filter.call(values, (value) => value != null).length <= DOTS_MAX;
}

function optionsOf(props: ChartProps, width: number, onPoint: OnPoint): uPlot.Options {
  const { series, height, logarithmic = false, xText, yText } = props;
  return {
    width,
    height,
    padding: [10, 12, 0, 0],
    scales: { x: { time: false }, y: logarithmic ? { distr: 3 } : { range: fromZero } },
    axes: [
      { ...axisOf(xText, 76), grid: { show: false }, size: 30 },
      { ...axisOf(yText, logarithmic ? 26 : 40), size: 52 },
    ],
    series: [{}, ...series.map(seriesOf)],
    cursor: { y: false, drag: { x: false, y: false }, points: { size: 8 } },
    legend: { show: false },
    hooks: {
      setCursor: [
        (plot) => {
          const { idx, left } = plot.cursor;
          onPoint(idx === null || idx === undefined ? null : { index: idx, left: left ?? 0 });
        },
      ],
    },
  };
}

/** Bars, and speeds, say nothing without their zero. */
function fromZero(_: uPlot, __: number, max: number): uPlot.Range.MinMax {
  return [0, Math.max(1e-9, max * 1.06)];
}

type Point = { readonly index: number; readonly left: number };
type OnPoint = (point: Point | null) => void;

export function Chart(props: ChartProps): ReactNode {
  const { data, series, height, words, tip } = props;
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const latest = useRef(props);
  latest.current = props;
  const [point, setPoint] = useState<Point | null>(null);
  const theme = useThemeEpoch();
  const shape = series.map(({ label, kind }) => `${label} ${kind}`).join();

  // biome-ignore lint/correctness/useExhaustiveDependencies: a new shape or theme is a new plot
  useEffect(() => {
    const element = box.current;
    if (!element) return;
    const made = new uPlot(
      optionsOf(latest.current, element.clientWidth, setPoint),
      latest.current.data as uPlot.AlignedData,
      element,
    );
    plot.current = made;
    const observer = new ResizeObserver(() => {
      made.setSize({ width: element.clientWidth, height });
    });
    observer.observe(element);
    return () => {
      observer.disconnect();
      made.destroy();
      plot.current = null;
    };
  }, [shape, theme, height]);

  useEffect(() => {
    plot.current?.setData(data as uPlot.AlignedData);
  }, [data]);

  const isLeft = (point?.left ?? 0) > (box.current?.clientWidth ?? 0) / 2;
  const side = isLeft ? { left: 60 } : { right: 12 };
  return (
    <div className="chart" style={{ minHeight: height }}>
      <div ref={box} role="img" aria-label={words} />
      {point && (data[0]?.length ?? 0) > point.index ? (
        <div className="chart-tip" style={{ top: 12, ...side }} aria-hidden="true">
          {tip(point.index)}
        </div>
      ) : null}
    </div>
  );
}
