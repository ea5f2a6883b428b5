package simhost_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"

	"wadm/loadtest/simhost"
	"wadm/scheduler/lattice"
)

func under(epoch, instance string) nats.Header {
	return nats.Header{"Wadm-Epoch": {epoch}, "Wadm-Instance": {instance}}
}

func TestEffectsOfOlderEpochsAreViolations(t *testing.T) {
	t.Parallel()
	bubble(t, simhost.Config{RequireEpoch: true}, func(t *testing.T, w *world) {
		h := w.host(simhost.HostConfig{})
		for i, step := range []struct {
			header nats.Header
			rules  []simhost.Rule
		}{
			{under("7", "a"), nil},
			{under("9", "b"), nil},
			{under("9", "b"), nil},
			{under("7", "a"), []simhost.Rule{simhost.RuleStaleEpoch}},
			{under("9", "c"), []simhost.Rule{simhost.RuleTwoInstances}},
			{nil, []simhost.Rule{simhost.RuleNoEpoch}},
			{under("x", "b"), []simhost.Rule{simhost.RuleNoEpoch}},
			{under("10", "a"), nil},
		} {
			before := len(w.sim.Violations())
			w.tell(on("component.scale", h), scaleTo(h, fmt.Sprint("c", i), "img", 1, "s"), step.header)
			var got []simhost.Rule
			for _, v := range w.sim.Violations()[before:] {
				got = append(got, v.Rule)
			}
			diff(t, fmt.Sprint("step ", i), step.rules, got)
		}
		// Reading is no effect.
		w.tell(on("host.get", h), "", under("1", "a"))
		diff(t, "violations", 4, len(w.sim.Violations()))
	})
}

func TestCommandsAreRecordedInOrderWithTheirAnswers(t *testing.T) {
	t.Parallel()
	var (
		mu   sync.Mutex
		seen []string
	)
	cfg := simhost.Config{OnCommand: func(r simhost.Record) {
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, fmt.Sprint(r.Kind, " ", r.Accepted, " ", r.Message))
	}}
	bubble(t, cfg, func(t *testing.T, w *world) {
		h := w.host(simhost.HostConfig{})
		w.tell(on("component.scale", h), scaleTo(h, "c", "img", 1, "s"), under("3", "a"))
		w.ask(on("provider.stop", h), stopOf(h, "p"))
		w.ask("config.put.x", `{}`)
		w.ask(on("host.get", h), "")
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		diff(t, "hook", []string{"component.scale true ", "provider.stop false provider with that ID is not running", "config.put true successfully put config"}, seen)
		records := w.sim.Commands()
		diff(t, "records", 3, len(records))
		r := records[0]
		if r.Kind != "component.scale" || r.Host != h.ID() || r.Epoch != 3 || r.Instance != "a" || !r.Answered || !r.Accepted || len(r.Body) == 0 {
			t.Errorf("record %+v", r)
		}
		s := w.sim.Stats()
		diff(t, "queries", map[string]int{"host.get": 1}, s.Queries)
		diff(t, "refused", map[string]int{"provider with that ID is not running": 1}, s.Refused)
	})
}

func TestRepeatedCommandsAreNeedless(t *testing.T) {
	t.Parallel()
	images := func(string) simhost.Image { return simhost.Image{Fetch: time.Second} }
	bubble(t, simhost.Config{Images: images}, func(t *testing.T, w *world) {
		h := w.host(simhost.HostConfig{})
		body := scaleTo(h, "c", "img", 1, "s")
		for range 2 { // the second while the first is being done
			w.ask(on("component.scale", h), body)
		}
		time.Sleep(2 * time.Second)
		w.ask(on("component.scale", h), body)                           // as it is already
		w.ask(on("component.scale", h), scaleTo(h, "d", "img", 0, "s")) // gone already
		w.ask(on("component.scale", h), scaleTo(h, "c", "img", 2, "s")) // needed
		w.ask("config.put.x", `{"a":"1"}`)                              // needed
		w.ask("config.put.x", `{"a":"1"}`)                              // as it is already
		diff(t, "needless", map[string]int{"component.scale": 3, "config.put": 1}, w.sim.Stats().Needless)
	})
}

func TestOnlySoManyCommandsAreRemembered(t *testing.T) {
	t.Parallel()
	for limit, want := range map[int]int{0: 5, 2: 2, -1: 0} {
		bubble(t, simhost.Config{Records: limit}, func(t *testing.T, w *world) {
			w.host(simhost.HostConfig{})
			for i := range 5 {
				w.ask(fmt.Sprint("config.put.x", i), `{}`)
			}
			records := w.sim.Commands()
			diff(t, "remembered", want, len(records))
			if want > 0 {
				diff(t, "last", "wasmbus.ctl.v1.default.config.put.x4", records[want-1].Subject)
			}
		})
	}
}

func TestCommandsMeetTheirFate(t *testing.T) {
	t.Parallel()
	fates := map[string]simhost.Fate{"lost": simhost.Lost, "unanswered": simhost.Unanswered, "doubled": simhost.Doubled}
	cfg := simhost.Config{Fate: func(r simhost.Record) simhost.Fate {
		return fates[r.Subject[len("wasmbus.ctl.v1.default.config.put."):]]
	}}
	bubble(t, cfg, func(t *testing.T, w *world) {
		w.host(simhost.HostConfig{})
		w.heard()
		for name := range fates {
			if err := w.unheard("config.put."+name, `{}`); (err == nil) != (name == "doubled") {
				t.Errorf("%s: %v", name, err)
			}
		}
		got := map[string]int{}
		for _, e := range w.heard() {
			got[e.Data["config_name"].(string)]++
		}
		diff(t, "events", map[string]int{"unanswered": 1, "doubled": 2}, got)
		diff(t, "needless", map[string]int{}, w.sim.Stats().Needless)
	})
}

func TestNetworkFaultsHappenAsOftenAsAsked(t *testing.T) {
	t.Parallel()
	const n = 400
	run := func(faults simhost.Faults) (replies int, events []event) {
		bubble(t, simhost.Config{Seed: 1, Faults: faults}, func(t *testing.T, w *world) {
			w.host(simhost.HostConfig{})
			w.heard()
			inbox := nats.NewInbox()
			var mu sync.Mutex
			if _, err := w.nc.Subscribe(inbox, func(*nats.Msg) { mu.Lock(); replies++; mu.Unlock() }); err != nil {
				t.Fatal(err)
			}
			for i := range n {
				if err := w.nc.PublishRequest(fmt.Sprint("wasmbus.ctl.v1.default.config.put.x", i), inbox, []byte(`{}`)); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(time.Minute)
			events = w.heard("config")
		})
		return replies, events
	}
	about := func(what string, got, want int) {
		t.Helper()
		if got < want-n/10 || got > want+n/10 {
			t.Errorf("%s: %d, want about %d", what, got, want)
		}
	}
	replies, events := run(simhost.Faults{RequestDrop: 0.5})
	about("replies", replies, n/2)
	about("events", len(events), n/2)
	replies, events = run(simhost.Faults{ReplyDrop: 0.25, EventDuplicate: 0.5})
	about("replies", replies, n*3/4)
	about("events", len(events), n*3/2)
	replies, events = run(simhost.Faults{ReplyDuplicate: 0.5, EventDrop: 0.25})
	about("replies", replies, n*3/2)
	about("events", len(events), n*3/4)
	replies, events = run(simhost.Faults{ReplyDelay: 0.5, ReplyDelayMax: time.Second, EventDelay: 0.5, EventDelayMax: 10 * time.Second})
	diff(t, "delayed replies", n, replies)
	diff(t, "delayed events", n, len(events))
	disordered, late := 0, 0
	for i, e := range events {
		if i > 0 && e.Time.Before(events[i-1].Time) {
			disordered++
		}
		if e.At.Sub(e.Time) > time.Second {
			late++
		}
	}
	if disordered == 0 {
		t.Error("delayed events kept their order")
	}
	about("late events", late, n*45/100)
}

func TestWaitingSeesEveryChangeAndEndsWithItsContext(t *testing.T) {
	t.Parallel()
	images := func(string) simhost.Image { return simhost.Image{Compile: time.Minute} }
	bubble(t, simhost.Config{Images: images}, func(t *testing.T, w *world) {
		h := w.host(simhost.HostConfig{})
		begin := time.Now()
		w.tell(on("component.scale", h), scaleTo(h, "c", "img", 2, "s"), nil)
		if err := w.sim.WaitFor(t.Context(), func() bool { return w.sim.Instances("c")[h.ID()] == 2 }); err != nil {
			t.Fatal(err)
		}
		diff(t, "waited", time.Minute, time.Since(begin))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := w.sim.WaitFor(ctx, func() bool { return false }); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
	})
}

func TestSameSeedMakesTheSameHostsButNotInAnotherLattice(t *testing.T) {
	t.Parallel()
	ids := map[string][]lattice.HostID{}
	for _, name := range []string{"a", "b"} {
		for range 2 {
			bubble(t, simhost.Config{}, func(t *testing.T, w *world) {
				sim, err := simhost.New(w.nc, name, simhost.Config{Seed: 5})
				if err != nil {
					t.Fatal(err)
				}
				defer sim.Close()
				h, err := sim.AddHost(simhost.HostConfig{})
				if err != nil {
					t.Fatal(err)
				}
				ids[name] = append(ids[name], h.ID())
			})
		}
	}
	if ids["a"][0] != ids["a"][1] || ids["b"][0] != ids["b"][1] || ids["a"][0] == ids["b"][0] {
		t.Errorf("ids %v", ids)
	}
}
