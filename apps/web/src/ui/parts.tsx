// The small parts that every screen is made of. They know no run and no device.
import type { ButtonHTMLAttributes, ReactNode } from "react";
import { useId } from "react";
import { Icon, type IconName } from "./icons.tsx";

type WithChildren = { readonly children: ReactNode };

export function classes(...names: readonly (string | false | null | undefined)[]): string {
  return names.filter((name) => name).join(" ");
}

export function Title({ title, children }: { title: string; children?: ReactNode }): ReactNode {
  return (
    <div className="title">
      <h1>{title}</h1>
      {children === undefined ? null : <p className="soft">{children}</p>}
    </div>
  );
}

export type CardProps = WithChildren & {
  readonly title?: string;
  readonly aside?: ReactNode;
  readonly className?: string | undefined;
};

/** A region with a name of its own, if it has a title. */
export function Card({ title, aside, className, children }: CardProps): ReactNode {
  const id = useId();
  return (
    <section className={classes("card", className)} aria-labelledby={title ? id : undefined}>
      {title === undefined ? null : (
        <div className="card-head">
          <h2 id={id}>{title}</h2>
          {aside}
        </div>
      )}
      {children}
    </section>
  );
}

export type ButtonProps = ButtonHTMLAttributes<HTMLButtonElement> & {
  readonly kind?: "main" | "bad" | "bare" | undefined;
  readonly size?: "big" | undefined;
  readonly wide?: boolean;
  readonly icon?: IconName;
};

export function Button({ kind, size, wide, icon, children, ...rest }: ButtonProps): ReactNode {
  return (
    <button type="button" {...rest} className={classes("button", kind, size, wide && "wide")}>
      {icon ? <Icon name={icon} /> : null}
      {children}
    </button>
  );
}

export function Stats({ children }: WithChildren): ReactNode {
  return <dl className="stats">{children}</dl>;
}

export type StatProps = {
  readonly label: string;
  readonly value: string;
  readonly unit?: string | undefined;
  readonly lead?: boolean;
};

export function Stat({ label, value, unit, lead = false }: StatProps): ReactNode {
  return (
    <div className={classes("stat", lead && "lead")}>
      <dt>{label}</dt>
      <dd>
        {value}
        {unit ? <small> {unit}</small> : null}
      </dd>
    </div>
  );
}

export type MeterProps = {
  /** From 0 to 1; null while nobody knows. */
  readonly value: number | null;
  readonly label: string;
  readonly bad?: boolean;
};

export function Meter({ value, label, bad = false }: MeterProps): ReactNode {
  const percent = value === null ? undefined : Math.round(Math.min(1, Math.max(0, value)) * 100);
  return (
    <div
      className={classes("meter", bad && "bad", value === null && "waiting")}
      role="progressbar"
      aria-label={label}
      aria-valuemin={0}
      aria-valuemax={100}
      aria-valuenow={percent}
    >
      <i style={percent === undefined ? undefined : { width: `${percent}%` }} />
    </div>
  );
}

const NOTICE_ICONS = { plain: "info", good: "check", warn: "warn", bad: "cross" } as const;

export type NoticeProps = WithChildren & {
  readonly kind?: keyof typeof NOTICE_ICONS;
  readonly title?: string | undefined;
  readonly icon?: IconName;
};

/** Something that the person should know; bad news is read out at once. */
export function Notice({ kind = "plain", title, icon, children }: NoticeProps): ReactNode {
  return (
    <div className={classes("notice", kind)} role={kind === "bad" ? "alert" : "status"}>
      <Icon name={icon ?? NOTICE_ICONS[kind]} />
      <div>
        {title === undefined ? null : <b>{title}</b>}
        {children}
      </div>
    </div>
  );
}

export function Chip({
  kind,
  children,
}: WithChildren & { readonly kind?: "live" | "warn" | "bad" | undefined }): ReactNode {
  return (
    <span className={classes("chip", kind)}>
      <i />
      {children}
    </span>
  );
}

export type Field = { readonly name: string; readonly value: ReactNode };

export function Fields({ fields }: { readonly fields: readonly Field[] }): ReactNode {
  return (
    <dl className="fields">
      {fields.map(({ name, value }) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

export type SwitchProps = {
  readonly label: string;
  readonly help?: string | undefined;
  readonly checked: boolean;
  readonly disabled?: boolean;
  readonly onChange: (checked: boolean) => void;
};

export function Switch({ label, help, checked, disabled, onChange }: SwitchProps): ReactNode {
  const id = useId();
  return (
    <div className="choice">
      <label htmlFor={id}>{label}</label>
      <input
        id={id}
        type="checkbox"
        role="switch"
        aria-checked={checked}
        className="switch"
        checked={checked}
        disabled={disabled}
        aria-describedby={help ? `${id}-help` : undefined}
        onChange={(event) => onChange(event.target.checked)}
      />
      {help ? (
        <p className="help" id={`${id}-help`}>
          {help}
        </p>
      ) : null}
    </div>
  );
}

export type SliderProps = {
  readonly label: string;
  readonly help?: string | undefined;
  readonly value: number;
  readonly min: number;
  readonly max: number;
  readonly step: number;
  /** The value in words: shown, and read out. */
  readonly words: string;
  readonly onChange: (value: number) => void;
};

export function Slider(props: SliderProps): ReactNode {
  const { label, help, value, min, max, step, words, onChange } = props;
  const id = useId();
  return (
    <div className="choice">
      <label htmlFor={id}>{label}</label>
      <output htmlFor={id}>{words}</output>
      <input
        id={id}
        type="range"
        style={{ gridColumn: "1 / -1" }}
        {...{ value, min, max, step }}
        aria-valuetext={words}
        onChange={(event) => onChange(Number(event.target.value))}
      />
      {help ? <p className="help">{help}</p> : null}
    </div>
  );
}

export type SegmentsProps<T extends string> = {
  readonly label: string;
  readonly value: T;
  readonly choices: readonly { readonly value: T; readonly label: string }[];
  readonly onChange: (value: T) => void;
};

export function Segments<T extends string>(props: SegmentsProps<T>): ReactNode {
  const { label, value, choices, onChange } = props;
  return (
    <fieldset className="segments" style={{ border: 0, margin: 0 }}>
      <legend className="visually-hidden">{label}</legend>
      {choices.map((choice) => (
        <button
          key={choice.value}
          type="button"
          aria-pressed={choice.value === value}
          onClick={() => onChange(choice.value)}
        >
          {choice.label}
        </button>
      ))}
    </fieldset>
  );
}

export function Empty({ children }: WithChildren): ReactNode {
  return (
    <div className="empty">
      <p>{children}</p>
    </div>
  );
}
