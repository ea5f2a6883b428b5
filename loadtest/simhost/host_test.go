package simhost_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"wadm/loadtest/simhost"
)

func TestHostIsHeardFirstAfterAFullInterval(t *testing.T) {
	t.Parallel()
	bubble(t, simhost.Config{}, func(t *testing.T, w *world) {
		begin := time.Now()
		h := w.host(simhost.HostConfig{Labels: map[string]string{"zone": "a"}})
		if !nkeys.IsValidPublicServerKey(string(h.ID())) {
			t.Errorf("id %s", h.ID())
		}
		events := w.heard()
		diff(t, "events", []string{"host_started"}, brief(events))
		diff(t, "labels", any(map[string]any{"hostcore.arch": "x86_64", "hostcore.os": "linux", "hostcore.osfamily": "unix", "zone": "a"}), events[0].Data["labels"])
		time.Sleep(95 * time.Second)
		var at []time.Duration
		for _, e := range w.heard("host_heartbeat") {
			at = append(at, e.At.Sub(begin).Truncate(time.Millisecond))
		}
		diff(t, "heartbeats", []time.Duration{30 * time.Second, 60 * time.Second, 90 * time.Second}, at)
	})
}

func TestStoppedHostSaysGoodbyeAndKilledOneNothing(t *testing.T) {
	t.Parallel()
	bubble(t, simhost.Config{}, func(t *testing.T, w *world) {
		a, b, c := w.host(simhost.HostConfig{}), w.host(simhost.HostConfig{}), w.host(simhost.HostConfig{})
		w.heard()
		if err := a.Stop(); err != nil {
			t.Fatal(err)
		}
		if err := b.Kill(); err != nil {
			t.Fatal(err)
		}
		for _, h := range []*simhost.Host{a, b} {
			if err := w.unheard(on("host.get", h), ""); !noResponders(err) {
				t.Errorf("request to a gone host: %v", err)
			}
			if err := h.Kill(); !errors.Is(err, simhost.ErrHostGone) {
				t.Errorf("kill of a gone host: %v", err)
			}
		}
		events := w.heard()
		diff(t, "events", []string{"host_stopped"}, brief(events))
		diff(t, "host", a.ID(), events[0].Host)

		// With the last host nobody answers for the lattice.
		diff(t, "wrong host", "invalid host_id [other]", w.ask(on("host.stop", c), `{"host_id":"other"}`).Message)
		diff(t, "stop", "successfully handled stop host", w.ask(on("host.stop", c), `{"timeout":null}`).Message)
		diff(t, "events", []string{"host_stopped"}, brief(w.heard()))
		synctest.Wait()
		for _, subject := range []string{"link.get", "host.ping", "config.get.x"} {
			if err := w.unheard(subject, ""); !noResponders(err) {
				t.Errorf("%s without hosts: %v", subject, err)
			}
		}
	})
}

func TestRestartedHostIsEmptyAndHasItsFirstLabels(t *testing.T) {
	t.Parallel()
	bubble(t, simhost.Config{}, func(t *testing.T, w *world) {
		h := w.host(simhost.HostConfig{Labels: map[string]string{"zone": "a"}})
		w.ask(on("component.scale", h), scaleTo(h, "c", "img", 1, "s"))
		if err := h.Relabel(map[string]string{"zone": "b"}); err != nil {
			t.Fatal(err)
		}
		w.heard()
		old := h.ID()
		if err := h.Restart(false); err != nil {
			t.Fatal(err)
		}
		if h.ID() != old || w.inventory(h) != "" {
			t.Errorf("id %s, inventory %q", h.ID(), w.inventory(h))
		}
		diff(t, "zone", "a", h.Inventory().Labels["zone"])
		diff(t, "events", []string{"host_started"}, brief(w.heard()))
		if err := h.Restart(true); err != nil {
			t.Fatal(err)
		}
		if h.ID() == old || w.sim.Host(old) != nil {
			t.Errorf("id %s after a restart with a new one", h.ID())
		}
	})
}

func TestWorkOfAProcessEndsWithIt(t *testing.T) {
	t.Parallel()
	images := func(string) simhost.Image { return simhost.Image{Fetch: time.Second, Compile: time.Second} }
	bubble(t, simhost.Config{Images: images}, func(t *testing.T, w *world) {
		h := w.host(simhost.HostConfig{})
		for _, wait := range []time.Duration{500 * time.Millisecond, 1500 * time.Millisecond} {
			w.ask(on("component.scale", h), scaleTo(h, "c", "img", 1, "s"))
			time.Sleep(wait)
			if err := h.Restart(false); err != nil {
				t.Fatal(err)
			}
			w.heard()
			time.Sleep(5 * time.Second)
			diff(t, "events", []string{}, brief(w.heard()))
			diff(t, "inventory", "", w.inventory(h))
		}
	})
}

func TestMutedHostDoesEverythingAtOnceAfterwards(t *testing.T) {
	t.Parallel()
	bubble(t, simhost.Config{}, func(t *testing.T, w *world) {
		h := w.host(simhost.HostConfig{HeartbeatInterval: 5 * time.Second})
		w.heard()
		begin := time.Now()
		if err := h.Mute(22 * time.Second); err != nil {
			t.Fatal(err)
		}
		// It is the only host, so the queue groups are mute, too.
		for _, subject := range []string{on("host.get", h), "host.ping", "link.get"} {
			if err := w.unheard(subject, ""); !timedOut(err) {
				t.Errorf("%s of a mute host: %v", subject, err)
			}
		}
		w.tell(on("component.scale", h), scaleTo(h, "c", "img", 1, "s"), nil)
		w.tell(on("label.put", h), `{"key":"k","value":"v"}`, nil)
		time.Sleep(22*time.Second - time.Since(begin) - 1)
		diff(t, "events while mute", []string{}, brief(w.heard("component", "host", "label")))
		time.Sleep(time.Nanosecond)
		events := w.heard("component", "host", "label")
		diff(t, "events afterwards", []string{
			"host_heartbeat", "host_heartbeat", "host_heartbeat", "host_heartbeat", "component_scaled c img 1 by s", "component_scaled c img 1 by s", "labels_changed",
		}, brief(events))
		time.Sleep(3 * time.Second)
		diff(t, "rhythm", []string{"host_heartbeat"}, brief(w.heard("host_heartbeat")))
	})
}

func TestCompilingHostHoldsItsTable(t *testing.T) {
	t.Parallel()
	for _, mutes := range []bool{false, true} {
		images := func(ref string) simhost.Image {
			if ref == "big" {
				return simhost.Image{Compile: 12 * time.Second, Mutes: mutes}
			}
			return simhost.Image{}
		}
		bubble(t, simhost.Config{Images: images}, func(t *testing.T, w *world) {
			h := w.host(simhost.HostConfig{HeartbeatInterval: 5 * time.Second})
			w.heard()
			w.ask(on("component.scale", h), scaleTo(h, "big", "big", 1, "s"))
			if err := w.unheard(on("host.get", h), ""); !timedOut(err) {
				t.Errorf("host.get of a compiling host: %v", err)
			}
			if err := w.unheard("host.ping", ""); timedOut(err) != mutes {
				t.Errorf("ping of a compiling host that mutes %v: %v", mutes, err)
			}
			w.tell(on("component.scale", h), scaleTo(h, "c", "img", 1, "s"), nil)
			time.Sleep(20 * time.Second)
			got := brief(w.heard("component", "host"))
			diff(t, "events", []string{"component_scaled big big 1 by s", "component_scaled big big 1 by s"}, got[:2])
			n := 0
			for _, e := range got {
				if e == "host_heartbeat" {
					n++
				}
			}
			diff(t, "heartbeats", 4, n)
			diff(t, "inventory", "big big x1 by s, c img x1 by s", w.inventory(h))
		})
	}
}

func TestNeverendingWorkStaysWithoutResult(t *testing.T) {
	t.Parallel()
	images := map[string]simhost.Image{"endless": {NeverFetched: true}, "halting": {NeverCompiled: true}}
	bubble(t, simhost.Config{Images: func(ref string) simhost.Image { return images[ref] }}, func(t *testing.T, w *world) {
		h := w.host(simhost.HostConfig{})
		w.heard()
		w.ask(on("component.scale", h), scaleTo(h, "c", "endless", 1, "s"))
		time.Sleep(time.Hour)
		diff(t, "events", []string{}, brief(w.heard()))
		diff(t, "inventory", "", w.inventory(h))
		w.ask(on("component.scale", h), scaleTo(h, "c", "halting", 1, "s"))
		time.Sleep(time.Hour)
		diff(t, "events with the table held", []string{}, brief(w.heard("host", "component")))
	})
}

func TestLabelsCanBeChangedButNotTheHostsOwn(t *testing.T) {
	t.Parallel()
	bubble(t, simhost.Config{}, func(t *testing.T, w *world) {
		h := w.host(simhost.HostConfig{})
		w.heard()
		for _, step := range []struct{ verb, body, message string }{
			{"label.put", `{"key":"zone","value":"a"}`, "successfully put label"},
			{"label.put", `{"key":"HOSTCORE.os","value":"a"}`, "hostcore.* labels cannot be set dynamically"},
			{"label.del", `{"key":"zone"}`, "successfully deleted label"},
			{"label.del", `{"key":"zone"}`, "successfully deleted label (no such label)"},
			{"label.del", `{"key":"hostcore.os"}`, "successfully deleted label"},
			{"label.put", `{"key":"zone"}`, "failed to deserialize put label request"},
			{"label.del", `[]`, "failed to deserialize delete label request"},
		} {
			diff(t, step.body, step.message, w.ask(on(step.verb, h), step.body).Message)
		}
		events := w.heard()
		diff(t, "events", []string{"labels_changed", "labels_changed", "labels_changed"}, brief(events))
		diff(t, "labels", any(map[string]any{"hostcore.arch": "x86_64", "hostcore.osfamily": "unix"}), events[2].Data["labels"])
	})
}

func TestEarlierHostsAnnounceThemselvesTooEarly(t *testing.T) {
	t.Parallel()
	cfg := simhost.Config{Version: "1.9.1", Quirks: simhost.Quirks{EarlyStarted: true, SingleScaled: true, NoZeroAfterUpdate: true}}
	bubble(t, cfg, func(t *testing.T, w *world) {
		h := w.host(simhost.HostConfig{})
		events := w.heard()
		diff(t, "id", any(string(h.ID())), events[0].Data["id"])
		if err := w.unheard(on("host.get", h), ""); !noResponders(err) {
			t.Errorf("request to an early host: %v", err)
		}
		time.Sleep(20 * time.Millisecond)
		w.ask(on("component.scale", h), scaleTo(h, "c", "img:1", 1, "s"))
		w.ask(on("component.update", h), encode(map[string]any{"component_id": "c", "new_component_ref": "img:2", "host_id": h.ID()}))
		diff(t, "events", []string{"component_scaled c img:1 1 by s", "component_scaled c img:2 1"}, brief(w.heard()))
	})
}

func TestTracesComeBackWithASpanOfTheirOwn(t *testing.T) {
	t.Parallel()
	bubble(t, simhost.Config{}, func(t *testing.T, w *world) {
		h := w.host(simhost.HostConfig{})
		const parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
		r, err := w.tryAsk(on("label.put", h), `{"key":"k","value":"v"}`, nats.Header{"traceparent": {parent}})
		if err != nil {
			t.Fatal(err)
		}
		got := r.header.Get("traceparent")
		if len(got) != len(parent) || got[:36] != parent[:36] || got[36:52] == parent[36:52] || got[52:] != parent[52:] {
			t.Errorf("traceparent %q", got)
		}
		diff(t, "recorded", parent, w.sim.Commands()[0].Trace)
		for _, bad := range []string{"", "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01", "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", "x"} {
			r, err := w.tryAsk(on("host.get", h), "", nats.Header{"traceparent": {bad}})
			if err != nil || len(r.header) != 0 {
				t.Errorf("traceparent %q: headers %v, error %v", bad, r.header, err)
			}
		}
	})
}

func TestImpossibleHostsAreRefused(t *testing.T) {
	t.Parallel()
	bubble(t, simhost.Config{}, func(t *testing.T, w *world) {
		h := w.host(simhost.HostConfig{})
		if _, err := w.sim.AddHost(simhost.HostConfig{ID: h.ID()}); !errors.Is(err, simhost.ErrHostExists) {
			t.Errorf("second host of one id: %v", err)
		}
		for _, cfg := range []simhost.HostConfig{{ID: "x"}, {HeartbeatInterval: -1}, {DisabledBuiltins: []string{"magic"}}} {
			if _, err := w.sim.AddHost(cfg); err == nil {
				t.Errorf("host %+v was taken", cfg)
			}
		}
		w.sim.Close()
		w.sim.Close()
		if _, err := w.sim.AddHost(simhost.HostConfig{}); !errors.Is(err, simhost.ErrClosed) {
			t.Errorf("host in a closed lattice: %v", err)
		}
	})
}

func TestUpdateThatMutesHoldsBackWhatTheHostSays(t *testing.T) {
	t.Parallel()
	images := func(ref string) simhost.Image {
		if ref == "img:2" {
			return simhost.Image{Compile: 12 * time.Second, Mutes: true}
		}
		return simhost.Image{}
	}
	bubble(t, simhost.Config{Images: images}, func(t *testing.T, w *world) {
		h := w.host(simhost.HostConfig{HeartbeatInterval: 5 * time.Second})
		w.ask(on("component.scale", h), scaleTo(h, "c", "img:1", 1, "s"))
		begin := time.Now()
		// What others say meanwhile changes nothing of what is held back.
		other := w.host(simhost.HostConfig{HeartbeatInterval: 30 * time.Second})
		time.AfterFunc(11*time.Second, func() { _ = other.Relabel(map[string]string{"long": strings.Repeat("x", 4000)}) })
		w.heard()
		w.ask(on("component.update", h), encode(map[string]any{"component_id": "c", "new_component_ref": "img:2", "host_id": h.ID()}))
		time.Sleep(13 * time.Second)
		events := w.heard("host", "component")
		diff(t, "events", []string{"host_heartbeat", "host_heartbeat", "component_scaled c img:2 1", "component_scaled c img:2 0"}, brief(events))
		for i, e := range events {
			// All are heard at the end and say when they happened.
			said := []time.Duration{5 * time.Second, 10 * time.Second, 12 * time.Second, 12 * time.Second}[i]
			diff(t, e.Kind, []time.Duration{12 * time.Second, said}, []time.Duration{e.At.Sub(begin).Truncate(time.Second), e.Time.Sub(begin).Truncate(time.Second)})
		}
	})
}

func TestOperatorsHandIsNoViolation(t *testing.T) {
	t.Parallel()
	bubble(t, simhost.Config{}, func(t *testing.T, w *world) {
		h := w.host(simhost.HostConfig{})
		w.ask(on("component.scale", h), scaleTo(h, "c", "img", 1, "s"))
		w.ask(on("provider.start", h), startOf(h, "p", "reg/p", "s"))
		w.heard()
		if err := errors.Join(h.RemoveComponent("c"), h.RemoveProvider("p")); err != nil {
			t.Fatal(err)
		}
		diff(t, "events", []string{"component_scaled c img 0 by s", "provider_stopped p by s"}, brief(w.heard()))
		diff(t, "violations", []simhost.Rule{}, w.rules())
		for _, err := range []error{h.RemoveComponent("c"), h.RemoveProvider("p"), h.SetProviderHealth("p", simhost.Hung)} {
			if !errors.Is(err, simhost.ErrNotRunning) {
				t.Errorf("error %v", err)
			}
		}
	})
}

func TestCompactLatticeAnswersTheSame(t *testing.T) {
	t.Parallel()
	bubble(t, simhost.Config{Compact: true}, func(t *testing.T, w *world) {
		h := w.host(simhost.HostConfig{})
		w.ask(on("component.scale", h), scaleTo(h, "c", "img", 1, "s"))
		w.ask(on("provider.start", h), startOf(h, "p", "reg/p", "s"))
		diff(t, "inventory", "c img x1 by s, p reg/p", w.inventory(h))
		w.heard()
		w.ask("config.put."+string(h.ID()), `{}`)
		diff(t, "events", []string{"config_set " + string(h.ID())}, brief(w.heard()))
		if err := h.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := w.unheard(on("host.get", h), ""); !noResponders(err) {
			t.Errorf("request to a gone host: %v", err)
		}
	})
}
