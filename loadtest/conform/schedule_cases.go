package conform

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"wadm/loadtest/simhost"
	"wadm/scheduler/lattice"
)

// shop is an application with one of everything.
func shop(version, image string) manifest {
	return application("shop", version,
		with(component("web", image, spread(3), link("store", "keyvalue", "store")), "config", []object{config("web-conf", "log", "info")}),
		provider("http", "http:1", link("web", "http", "handler", config("address", "address", "0.0.0.0:80"))),
		provider("store", "store:1", spread(2)),
	)
}

func (w *world) shopRuns(image string) func() string {
	return all(w.total("shop-web", 3), w.images("shop-web", image), w.providers("shop-http", 1), w.providers("shop-store", 2),
		w.linked("shop-http http shop-web shop-address", "shop-web keyvalue shop-store "),
		w.configured(map[string]map[string]string{"shop-web_conf": {"log": "info"}, "shop-address": {"address": "0.0.0.0:80"}}))
}

func statusCases() []Case {
	return []Case{
		{Name: "life of a deployment", Guarantee: "status goes to deployed, only changes are published, and all is announced on the status subject", Defect: "D-25", run: func(w *world) error {
			if _, err := w.hosts("zone=a", "zone=b"); err != nil {
				return err
			}
			sub, err := w.subscribe("wadm.status." + w.lattice + ".shop")
			if err != nil {
				return err
			}
			if err := w.deploy(shop("v1", "web:1")); err != nil {
				return err
			}
			last := ""
			read := func(until string) error {
				for {
					m, err := w.next(sub)
					if err != nil {
						return fmt.Errorf("%w; the last status was %s", err, last)
					}
					if string(m.Data) == last {
						return fmt.Errorf("status published again without a change: %s", last)
					}
					last = string(m.Data)
					if strings.HasPrefix(last, `{"status":{"type":"`+until+`"`) {
						return nil
					}
				}
			}
			if err := read("deployed"); err != nil {
				return err
			}
			if err := w.until(w.shopRuns("web:1")); err != nil {
				return err
			}
			if err := w.pause(w.ctx, 3*heartbeat); err != nil {
				return err
			}
			for {
				m, err := sub.NextMsg(time.Millisecond)
				if err != nil {
					break // nothing more
				}
				if string(m.Data) == last {
					return fmt.Errorf("status published again without a change: %s", last)
				}
				last = string(m.Data)
			}
			if err := w.undeploy("shop"); err != nil {
				return err
			}
			if err := read("undeployed"); err != nil {
				return err
			}
			if want := `{"status":{"type":"undeployed","message":"Manifest has been undeployed"},"version":"","components":[]}`; last != want {
				return fmt.Errorf("status is %s, want %s", last, want)
			}
			return nil
		}},
		{Name: "scalers", Guarantee: "scalers are listed in manifest order, an implied one after its links, with known ids", run: func(w *world) error {
			if _, err := w.hosts("zone=a"); err != nil {
				return err
			}
			m := application("hello-world", "v1",
				component("http-component", "registry.example/hello:0.1.0", spread(1)),
				provider("httpserver", "registry.example/http-server:0.22.0", link("http-component", "http", "incoming-handler")))
			if err := w.deploy(m); err != nil {
				return err
			}
			if err := w.statusIs("hello-world", "deployed", ""); err != nil {
				return err
			}
			got, err := w.ask(".model.status.hello-world", "")
			if err != nil {
				return err
			}
			at := 0
			for _, part := range []string{
				`{"id":"4d7f9a1a274e0092807b318259a0b7ad000fe82b05a5e38831fcab9fecf6dc23","kind":"SpreadScaler","name":"hello_world-http_component","status":{"type":"deployed"}}`,
				`"kind":"LinkScaler","name":"hello_world-httpserver -(test:http)-> hello_world-http_component","status":{"type":"deployed"}}`,
				`{"id":"766d12634af5a47ab17d7debec23ea02a46ae955078097063cea5389a1decfde","kind":"SpreadScaler","name":"hello_world-httpserver","status":{"type":"deployed"}}`,
				`],"version":"","components":[]}}`,
			} {
				i := strings.Index(got[at:], part)
				if i < 0 {
					return fmt.Errorf("status %s has no %s after position %d", got, part, at)
				}
				at += i + len(part)
			}
			return nil
		}},
		{Name: "no hosts", Guarantee: "a spread nobody can run says how many hosts were eligible", Defect: "D-02", run: func(w *world) error {
			if _, err := w.hosts("zone=a"); err != nil {
				return err
			}
			if err := w.deploy(application("app", "v1", component("c", "c:1", spread(2, "far zone=z")))); err != nil {
				return err
			}
			return w.statusIs("app", "failed", "Could not satisfy spread far for c:1, 0/")
		}},
		{Name: "missing configuration", Guarantee: "a configuration that somebody else has to provide and does not is named in the status", Defect: "D-16", run: func(w *world) error {
			if _, err := w.hosts("zone=a"); err != nil {
				return err
			}
			if err := w.deploy(application("app", "v1", with(component("c", "c:1", spread(1)), "config", []object{outside("theirs")}))); err != nil {
				return err
			}
			if err := w.statusIs("app", "failed", "theirs"); err != nil {
				return err
			}
			if err := w.operator("config.put.theirs", `{"k":"v"}`); err != nil {
				return err
			}
			if err := w.until(w.total("app-c", 1)); err != nil {
				return err
			}
			return w.statusIs("app", "deployed", "")
		}},
	}
}

// operator sends a control request by hand.
func (w *world) operator(tail, body string) error {
	if _, err := w.nc.Request("wasmbus.ctl.v1."+w.lattice+"."+tail, []byte(body), requestTimeout); err != nil {
		return fmt.Errorf("ask for %s: %w", tail, err)
	}
	return nil
}

// outcome is a case that deploys one component and looks where it runs.
func outcome(name, guarantee, defect string, hosts []string, scaling object, want string) Case {
	return Case{Name: name, Guarantee: guarantee, Defect: defect, run: func(w *world) error {
		if _, err := w.hosts(hosts...); err != nil {
			return err
		}
		if err := w.deploy(application("app", "v1", component("c", "c:1", scaling))); err != nil {
			return err
		}
		label := "zone"
		if strings.HasPrefix(want, ":") {
			label = "" // wherever it runs
		}
		if err := w.until(w.runs("app-c", label, want)); err != nil {
			return err
		}
		return w.clean()
	}}
}

func placementCases() []Case {
	abc := []string{"zone=a", "zone=b", "zone=c"}
	return []Case{
		outcome("one host", "without spreads all instances run somewhere", "", []string{"zone=a"}, spread(4), "a:4"),
		outcome("evenly", "instances are spread evenly over eligible hosts", "D-03", abc, spread(7), ":3+2+2"),
		outcome("by label", "each spread runs on the hosts that carry its labels", "", abc, spread(5, "a 60 zone=a", "b 40 zone=b"), "a:3 b:2"),
		outcome("remainder", "what weights leave over goes to the heaviest first", "", abc, spread(7, "a 30 zone=a", "b 40 zone=b"), "a:3 b:4"),
		outcome("default weights", "spreads without weights are equal", "", abc, spread(7, "a zone=a", "b zone=b", "c zone=c"), "a:3 b:2 c:2"),
		outcome("many", "a large number of instances is met exactly", "", abc, spread(9001, "a 1 zone=a"), "a:9001"),
		outcome("none", "no instances means none", "", abc, spread(0), ""),
		outcome("overlap", "spreads that overlap are placed if they can be", "D-02", []string{"zone=a", "zone=b"}, spread(4, "any", "a zone=a"), "a:2 b:2"),
		outcome("impossible spread", "a spread that no host can run does not hold up the others", "D-02", abc, spread(4, "a zone=a", "z zone=z"), "a:2"),
		{Name: "grow and shrink", Guarantee: "a changed number of instances is met exactly", Defect: "D-01", run: func(w *world) error {
			if _, err := w.hosts(abc...); err != nil {
				return err
			}
			for i, n := range []int{3, 5, 12, 1, 2} {
				if err := w.deploy(application("app", fmt.Sprintf("v%d", i), component("c", "c:1", spread(n)))); err != nil {
					return err
				}
				if err := w.until(w.total("app-c", n)); err != nil {
					return err
				}
			}
			return w.clean()
		}},
		{Name: "stopped by hand", Guarantee: "an instance that stops is started again", run: func(w *world) error {
			hosts, err := w.hosts("zone=a")
			if err != nil {
				return err
			}
			if err := w.deploy(application("app", "v1", component("c", "c:1", spread(4)))); err != nil {
				return err
			}
			for range 2 {
				if err := w.until(w.total("app-c", 4)); err != nil {
					return err
				}
				if err := hosts[0].RemoveComponent("app-c"); err != nil {
					return err
				}
			}
			return w.until(w.total("app-c", 4))
		}},
		{Name: "host stopped", Guarantee: "the work of a host that says goodbye moves", run: func(w *world) error { return w.loses((*simhost.Host).Stop) }},
		{Name: "host lost", Guarantee: "the work of a host that falls silent moves after a few heartbeats", Defect: "D-26", run: func(w *world) error { return w.loses((*simhost.Host).Kill) }},
		{Name: "host relabelled", Guarantee: "work follows the labels", run: func(w *world) error {
			hosts, err := w.hosts("zone=a", "zone=b")
			if err != nil {
				return err
			}
			if err := w.deploy(application("app", "v1", component("c", "c:1", spread(2, "a zone=a")))); err != nil {
				return err
			}
			if err := w.until(w.runs("app-c", "zone", "a:2")); err != nil {
				return err
			}
			if err := errors.Join(hosts[0].Relabel(parseLabels("zone=z")), hosts[1].Relabel(parseLabels("zone=a"))); err != nil {
				return err
			}
			return w.until(w.runs("app-c", "zone", "a:2"))
		}},
		{Name: "work of others", Guarantee: "a component of somebody else is not touched, whatever its id", Defect: "D-10", run: func(w *world) error {
			hosts, err := w.hosts("zone=a", "zone=b")
			if err != nil {
				return err
			}
			theirs := lattice.Component{ID: "app-c", Image: "theirs:1", Annotations: map[string]string{"owner": "somebody"}, Max: 7}
			if err := hosts[1].StartComponent(theirs); err != nil {
				return err
			}
			if err := w.deploy(application("app", "v1", component("c", "c:1", spread(2, "a zone=a")))); err != nil {
				return err
			}
			if err := w.until(w.runs("app-c", "zone", "a:2 b:7")); err != nil {
				return err
			}
			if err := w.undeploy("app"); err != nil {
				return err
			}
			if err := w.until(w.runs("app-c", "zone", "b:7")); err != nil {
				return err
			}
			return w.clean()
		}},
	}
}

// loses deploys on two hosts, ends the one with more, and wants all on the other.
func (w *world) loses(end func(*simhost.Host) error) error {
	hosts, err := w.hosts("zone=a", "zone=b")
	if err != nil {
		return err
	}
	if err := w.deploy(application("app", "v1", component("c", "c:1", spread(5)))); err != nil {
		return err
	}
	if err := w.until(w.total("app-c", 5)); err != nil {
		return err
	}
	on := w.sim.Instances("app-c")
	slices.SortFunc(hosts, func(a, b *simhost.Host) int { return int(on[b.ID()]) - int(on[a.ID()]) })
	if err := end(hosts[0]); err != nil {
		return err
	}
	return w.until(w.total("app-c", 5))
}

func providerCases() []Case {
	app := func(c object) manifest { return application("app", "v1", c) }
	return []Case{
		{Name: "implied", Guarantee: "a provider without a scaler runs once", run: func(w *world) error {
			return w.deployed([]string{"zone=a", "zone=b"}, app(provider("p", "p:1")), w.providersCheck("app-p", 1))
		}},
		{Name: "hosts", Guarantee: "instances of a provider are numbers of hosts", run: func(w *world) error {
			return w.deployed([]string{"zone=a", "zone=a", "zone=b"}, app(provider("p", "p:1", spread(2, "a zone=a"))), w.providersCheck("app-p", 2))
		}},
		{Name: "too few hosts", Guarantee: "a provider runs on the hosts there are, and the status says how many", run: func(w *world) error {
			if err := w.deployed([]string{"zone=a"}, app(provider("p", "p:1", spread(2))), w.providersCheck("app-p", 1)); err != nil {
				return err
			}
			return w.statusIs("app", "failed", "Could not satisfy spread default for p:1, 1/2 eligible hosts found.")
		}},
		{Name: "stopped by hand", Guarantee: "a provider that stops is started again", run: func(w *world) error {
			if err := w.deployed([]string{"zone=a"}, app(provider("p", "p:1")), w.providersCheck("app-p", 1)); err != nil {
				return err
			}
			if err := w.sim.Hosts()[0].RemoveProvider("app-p"); err != nil {
				return err
			}
			return w.until(w.providers("app-p", 1))
		}},
		{Name: "of others", Guarantee: "a provider that somebody else runs counts, once, and is left alone", Defect: "D-07", run: func(w *world) error {
			hosts, err := w.hosts("zone=a", "zone=b", "zone=c")
			if err != nil {
				return err
			}
			if err := hosts[0].StartProvider(lattice.Provider{ID: "app-p", Image: "p:1", Annotations: map[string]string{"owner": "somebody"}}); err != nil {
				return err
			}
			if err := w.deployed(nil, app(provider("p", "p:1", spread(3))), w.providersCheck("app-p", 3)); err != nil {
				return err
			}
			if err := w.undeploy("app"); err != nil {
				return err
			}
			if err := w.until(w.providers("app-p", 1)); err != nil {
				return err
			}
			return w.clean()
		}},
		{Name: "daemon", Guarantee: "a daemon runs on every host that fits, on those that join too", run: func(w *world) error {
			if err := w.deployed([]string{"zone=a", "zone=b"}, app(component("c", "c:1", daemon(2, "a zone=a"))), func() string { return w.runs("app-c", "zone", "a:2")() }); err != nil {
				return err
			}
			if _, err := w.hosts("zone=a"); err != nil {
				return err
			}
			return w.until(w.runs("app-c", "zone", "a:2+2"))
		}},
		{Name: "daemon spreads overlap", Guarantee: "a host that fits two daemon spreads carries one, and there is rest", Defect: "D-11", run: func(w *world) error {
			if err := w.deployed([]string{"zone=a,tier=x"}, app(component("c", "c:1", daemon(2, "a zone=a", "x tier=x"))), func() string { return w.runs("app-c", "zone", "a:2")() }); err != nil {
				return err
			}
			begin := time.Now()
			if err := w.pause(w.ctx, 5*heartbeat); err != nil {
				return err
			}
			if n := len(w.commands("app-c", begin)); n > 0 {
				return fmt.Errorf("%d commands in %v of rest", n, 5*heartbeat)
			}
			return nil
		}},
		{Name: "daemon provider", Guarantee: "the removal of a daemon provider starts none", Defect: "D-05", run: func(w *world) error {
			if err := w.deployed([]string{"zone=a", "zone=b", "zone=c"}, app(provider("p", "p:1", daemon(1))), w.providersCheck("app-p", 3)); err != nil {
				return err
			}
			if err := w.sim.Hosts()[0].RemoveProvider("app-p"); err != nil {
				return err
			}
			if err := w.undeploy("app"); err != nil {
				return err
			}
			return w.until(w.empty)
		}},
	}
}

// providersCheck is providers for a lattice that does not exist yet.
func (w *world) providersCheck(id string, n int) func() string {
	return func() string { return w.providers(id, n)() }
}

// deployed starts hosts, deploys and waits for an outcome.
func (w *world) deployed(hosts []string, m manifest, problem func() string) error {
	if _, err := w.hosts(hosts...); err != nil {
		return err
	}
	if err := w.deploy(m); err != nil {
		return err
	}
	return w.until(problem)
}
