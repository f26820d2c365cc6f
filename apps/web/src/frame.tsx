// What is around every screen: the header, the run's navigation, and news about the connection.
import type { ReactNode } from "react";
import { Link, useLocation } from "wouter";
import { texts } from "./texts.ts";
import { Icon, type IconName, Mark } from "./ui/icons.tsx";
import { classes } from "./ui/parts.tsx";

type NavLinkProps = { readonly to: string; readonly icon: IconName; readonly label: string };

function NavLink({ to, icon, label }: NavLinkProps): ReactNode {
  const [location] = useLocation();
  return (
    <Link href={to} className="nav-link" aria-current={location === to ? "page" : undefined}>
      <Icon name={icon} />
      <span>{label}</span>
    </Link>
  );
}

const RUN_PATH = /^\/runs\/([0-9a-f]{64})(?:\/|$)/;

export function Frame({ children }: { readonly children: ReactNode }): ReactNode {
  const [location] = useLocation();
  const runId = RUN_PATH.exec(location)?.[1] ?? null;
  const { frame } = texts;
  return (
    <div className="frame">
      <a className="skip" href="#content">
        {frame.skip}
      </a>
      <header className={classes("header", runId !== null && "of-run")}>
        <div className="header-row">
          <Link href="/" className="brand">
            <Mark />
            {frame.product}
          </Link>
          {runId === null ? null : <RunNav runId={runId} />}
          <nav className="header-links" aria-label={frame.mainNavigation}>
            <NavLink to="/limits" icon="limits" label={frame.limits} />
            <NavLink to="/profile" icon="profile" label={frame.profile} />
            <NavLink to="/owner" icon="owner" label={frame.owner} />
          </nav>
        </div>
      </header>
      <main id="content" tabIndex={-1}>
        {children}
      </main>
    </div>
  );
}

function RunNav({ runId }: { readonly runId: string }): ReactNode {
  const { frame } = texts;
  const base = `/runs/${runId}`;
  return (
    <nav className="run-nav" aria-label={frame.runNavigation}>
      <NavLink to={base} icon="hand" label={frame.contribute} />
      <NavLink to={`${base}/watch`} icon="watch" label={frame.watch} />
      <NavLink to={`${base}/ledger`} icon="ledger" label={frame.ledger} />
      <NavLink to={`${base}/model`} icon="model" label={frame.model} />
      <NavLink to={`${base}/people`} icon="people" label={frame.people} />
    </nav>
  );
}
