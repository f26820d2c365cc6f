// Which address shows which screen. Screens that few people open are loaded when they are opened.
import { Component, lazy, type ReactNode, Suspense, useEffect } from "react";
import { Route, Switch, useLocation } from "wouter";
import { Frame } from "./frame.tsx";
import { ContributeScreen } from "./screens/contribute/contribute-screen.tsx";
import { HomeScreen } from "./screens/home-screen.tsx";
import { texts } from "./texts.ts";
import { Button, Empty, Notice, Title } from "./ui/parts.tsx";

const WatchScreen = lazy(async () => ({
  default: (await import("./screens/watch/watch-screen.tsx")).WatchScreen,
}));
const LedgerScreen = lazy(async () => ({
  default: (await import("./screens/ledger/ledger-screen.tsx")).LedgerScreen,
}));
const ModelScreen = lazy(async () => ({
  default: (await import("./screens/model/model-screen.tsx")).ModelScreen,
}));
const PeopleScreen = lazy(async () => ({
  default: (await import("./screens/people/people-screen.tsx")).PeopleScreen,
}));
const CertificateScreen = lazy(async () => ({
  default: (await import("./screens/people/certificate-screen.tsx")).CertificateScreen,
}));
const ProfileScreen = lazy(async () => ({
  default: (await import("./screens/people/profile-screen.tsx")).ProfileScreen,
}));
const LimitsScreen = lazy(async () => ({
  default: (await import("./screens/limits-screen.tsx")).LimitsScreen,
}));
const PayScreen = lazy(async () => ({
  default: (await import("./screens/pay/pay-screen.tsx")).PayScreen,
}));
const OwnerScreen = lazy(async () => ({
  default: (await import("./screens/owner/owner-screen.tsx")).OwnerScreen,
}));

export function App(): ReactNode {
  return (
    <Frame>
      <Guard>
        <Suspense fallback={<Empty>{texts.frame.loading}</Empty>}>
          <Switch>
            <Route path="/" component={HomeScreen} />
            <Route path="/limits" component={LimitsScreen} />
            <Route path="/profile" component={ProfileScreen} />
            <Route path="/owner" component={OwnerScreen} />
            <Route path="/runs/:id" component={ContributeScreen} />
            <Route path="/runs/:id/watch" component={WatchScreen} />
            <Route path="/runs/:id/ledger" component={LedgerScreen} />
            <Route path="/runs/:id/model" component={ModelScreen} />
            <Route path="/runs/:id/pay" component={PayScreen} />
            <Route path="/runs/:id/people" component={PeopleScreen} />
            <Route path="/runs/:id/certificate" component={CertificateScreen} />
            <Route>
              <Title title={texts.frame.notFoundTitle}>{texts.frame.notFound}</Title>
            </Route>
          </Switch>
        </Suspense>
      </Guard>
      <FocusOnNewScreen />
    </Frame>
  );
}

/** After a change of screen, reading goes on at its beginning. */
function FocusOnNewScreen(): ReactNode {
  const [location] = useLocation();
  // biome-ignore lint/correctness/useExhaustiveDependencies: the location is what it waits for
  useEffect(() => {
    scrollTo(0, 0);
  }, [location]);
  return null;
}

type GuardState = { readonly broken: string | null };

/** A mistake in one screen is said in words, and the rest of the page stays. */
class Guard extends Component<{ readonly children: ReactNode }, GuardState> {
  override state: GuardState = { broken: null };

  static getDerivedStateFromError(error: unknown): GuardState {
    return { broken: error instanceof Error ? error.message : String(error) };
  }

  override render(): ReactNode {
    const { broken } = this.state;
    if (broken === null) return this.props.children;
    return (
      <div className="stack">
        <Title title={texts.frame.brokenTitle}>{texts.frame.broken}</Title>
        <Notice kind="bad">
          <code>{broken}</code>
        </Notice>
        <div>
          <Button kind="main" onClick={() => globalThis.location.reload()}>
            {texts.frame.reload}
          </Button>
        </div>
      </div>
    );
  }
}
