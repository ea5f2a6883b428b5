package lattice_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"wadm/scheduler/lattice"
)

var begin = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// at is so many seconds after the beginning.
func at(seconds float64) time.Time {
	return begin.Add(time.Duration(seconds * float64(time.Second)))
}

// TestAHostThatNoCommandCouldReachIsNoHost: its id would have to be a token of
// a subject.
func TestAHostThatNoCommandCouldReachIsNoHost(t *testing.T) {
	t.Parallel()
	for id, want := range map[string]bool{
		"NAEXGHMLDVWEXZJXBZSA4YQMMJHIP65LT24DV6JQ3X4EZASNYNHVOEDE": true, "h-1_a": true,
		"bad host": false, "a.b": false, "*": false, ">": false, "ü": false, "a\u0000b": false, strings.Repeat("a", 257): false,
	} {
		_, err := lattice.DecodeEvent(fmt.Appendf(nil, `{"specversion":"1.0","id":"1","type":"com.wasmcloud.lattice.host_started","source":%q,
			"time":"2026-01-01T00:00:00Z","data":{"labels":{},"friendly_name":"x","version":"1.9.2"}}`, id))
		if (err == nil) != want || err != nil && !errors.Is(err, lattice.ErrNotEvent) {
			t.Errorf("host %.20q: %v", id, err)
		}
	}
}

// TestWhatAHostSaidBeforeItsInventoryDoesNotUndoIt: a busy host answers late, in
// one burst with events that are older than the answer and may arrive after it.
func TestWhatAHostSaidBeforeItsInventoryDoesNotUndoIt(t *testing.T) {
	t.Parallel()
	event := func(kind lattice.EventKind, s float64) lattice.Event {
		return lattice.Event{Kind: kind, Host: "H", Time: at(s), Inventory: lattice.Inventory{Host: "H"}}
	}
	runs := lattice.Component{ID: "c", Image: "i", Max: 1}
	st := lattice.NewState()
	st.Fold(event(lattice.HostStarted, 0), at(0))
	var ch lattice.Changes
	st.Polled(lattice.Inventory{Host: "H", Components: []lattice.Component{runs}}, lattice.Question{Sent: at(1)}, at(3), &ch)

	gone := event(lattice.ComponentScaled, 2.1)
	gone.Component = runs
	gone.Component.Max = 0
	for _, ev := range []lattice.Event{event(lattice.HostHeartbeat, 2), gone} {
		if ch := st.Fold(ev, at(3.1)); !ch.AskInventory || st.Hosts["H"].Workloads[lattice.ComponentOf("c")] == nil {
			t.Errorf("%s from before the answer: %+v, has %v", ev.Kind, ch, st.Hosts["H"].Workloads)
		}
	}
	if st.Fold(event(lattice.HostHeartbeat, 4.05), at(4.2)); len(st.Hosts["H"].Workloads) != 0 {
		t.Error("a list from well after the answer was not believed")
	}
}

// TestSlowHeartbeatsDoNotUndoAnInventory: where even the fastest event has taken a
// while, the host's clock is ahead of what the events let it seem. A list that
// differs is asked about once and believed when the doubt has passed.
func TestSlowHeartbeatsDoNotUndoAnInventory(t *testing.T) {
	t.Parallel()
	st := lattice.NewState()
	empty, runs := lattice.Inventory{Host: "H"}, lattice.Inventory{Host: "H", Components: []lattice.Component{{ID: "c", Image: "i", Max: 1}}}
	st.Fold(lattice.Event{Kind: lattice.HostStarted, Host: "H", Time: at(0), Inventory: empty}, at(0.3))
	poll := func(inv lattice.Inventory, sent float64) {
		var ch lattice.Changes
		st.Polled(inv, lattice.Question{Sent: at(sent)}, at(sent+0.01), &ch)
	}
	for _, step := range []struct {
		time     float64
		says     lattice.Inventory
		ask, has bool
	}{
		{2.9, empty, true, true},  // from before the answer: asked about
		{3.0, empty, false, true}, // and so is this one
		{3.1, runs, false, true},
		{3.2, empty, false, true}, // after the second answer, but no third question
		{3.8, empty, false, false},
		{4.0, runs, false, true},
	} {
		if step.time == 2.9 || step.time == 3.1 {
			poll(runs, step.time+0.1)
		}
		ch := st.Fold(lattice.Event{Kind: lattice.HostHeartbeat, Host: "H", Time: at(step.time), Inventory: step.says}, at(step.time+0.3))
		if has := len(st.Hosts["H"].Workloads) == 1; ch.AskInventory != step.ask || has != step.has {
			t.Errorf("at %v: %+v, has %v", step.time, ch, st.Hosts["H"].Workloads)
		}
	}
}

// TestALateStartIsNoRestart: the host has answered since, and was asked for work.
func TestALateStartIsNoRestart(t *testing.T) {
	t.Parallel()
	st := lattice.NewState()
	var ch lattice.Changes
	st.Polled(lattice.Inventory{Host: "H", Components: []lattice.Component{{ID: "c", Image: "i", Max: 1}}}, lattice.Question{Sent: at(1)}, at(1.1), &ch)
	late := lattice.Event{Kind: lattice.HostStarted, Host: "H", Time: at(0.5), Inventory: lattice.Inventory{Host: "H"}}
	if ch := st.Fold(late, at(4)); ch.Joined || !ch.AskInventory || len(st.Hosts["H"].Workloads) != 1 {
		t.Errorf("%+v, has %v", ch, st.Hosts["H"].Workloads)
	}
}

// TestAFirstHeartbeatThatIsLateUndoesNothing: a new owner cannot tell its delay from
// the offset of the host's clock.
func TestAFirstHeartbeatThatIsLateUndoesNothing(t *testing.T) {
	t.Parallel()
	st := lattice.NewState()
	var ch lattice.Changes
	st.Polled(lattice.Inventory{Host: "H", Components: []lattice.Component{{ID: "c", Image: "i", Max: 1}}}, lattice.Question{Sent: at(10)}, at(10.01), &ch)
	late := lattice.Event{Kind: lattice.HostHeartbeat, Host: "H", Time: at(9.9), Inventory: lattice.Inventory{Host: "H"}}
	if ch := st.Fold(late, at(13)); !ch.AskInventory || len(st.Hosts["H"].Workloads) != 1 {
		t.Errorf("%+v, has %v", ch, st.Hosts["H"].Workloads)
	}
}

// TestAnIntervalIsNoLongerThanTheSilenceThatWasSeen: a host's clock that is set
// ahead makes a gap of hours, a host that compiles one of minutes.
func TestAnIntervalIsNoLongerThanTheSilenceThatWasSeen(t *testing.T) {
	t.Parallel()
	type beat struct{ arrives, ahead time.Duration } // since begin; of the host's clock
	s := time.Second
	for name, tc := range map[string]struct {
		beats []beat
		want  time.Duration
	}{
		"regular":                {[]beat{{0, 0}, {10 * s, 0}, {20 * s, 0}}, 10 * s},
		"ahead at the second":    {[]beat{{0, 0}, {30 * s, 24 * time.Hour}}, 30 * s},
		"ahead, of a short one":  {[]beat{{0, 0}, {10 * s, time.Hour}}, 10 * s},
		"ahead again and again":  {[]beat{{0, 0}, {30 * s, time.Hour}, {60 * s, 2 * time.Hour}, {90 * s, 3 * time.Hour}}, 30 * s},
		"far ahead from 1970":    {[]beat{{0, -begin.Sub(time.Unix(1, 0))}, {30 * s, 0}}, 30 * s},
		"mute from the first on": {[]beat{{0, 0}, {100 * s, 0}, {200 * s, 0}}, 30 * s},
		"long":                   {[]beat{{0, 0}, {60 * s, 0}, {120 * s, 0}, {180 * s, 0}}, 60 * s},
		"too long":               {[]beat{{0, 0}, {600 * s, 0}, {1200 * s, 0}, {1800 * s, 0}}, 120 * s},
		"a burst after a delay":  {[]beat{{60 * s, -60 * s}, {60 * s, -30 * s}, {60 * s, 0}}, 30 * s},
	} {
		st := lattice.NewState()
		for _, b := range tc.beats {
			now := begin.Add(b.arrives)
			st.Fold(lattice.Event{Kind: lattice.HostHeartbeat, Host: "H", Time: now.Add(b.ahead), Inventory: lattice.Inventory{Host: "H"}}, now)
		}
		if h := st.Hosts["H"]; h.Interval() != tc.want || !h.LastSeen.Equal(begin.Add(tc.beats[len(tc.beats)-1].arrives)) {
			t.Errorf("%s: interval %v, want %v; last seen %v", name, h.Interval(), tc.want, h.LastSeen)
		}
	}
}

// TestAClockThatIsSetBackABitHidesNothing: less than an interval, so that the next
// heartbeat still comes after the last by the host's clock.
func TestAClockThatIsSetBackABitHidesNothing(t *testing.T) {
	t.Parallel()
	runs := lattice.Component{ID: "c", Image: "i", Max: 1}
	for _, back := range []time.Duration{500 * time.Millisecond, 3 * time.Second, 20 * time.Second, 29 * time.Second} {
		st := lattice.NewState()
		now := begin
		fold := func(at time.Duration, skew time.Duration, kind lattice.EventKind, has ...lattice.Component) lattice.Changes {
			now = begin.Add(at)
			ev := lattice.Event{Kind: kind, Host: "H", Time: now.Add(-skew), Inventory: lattice.Inventory{Host: "H", Components: has}}
			if kind == lattice.ComponentScaled {
				ev.Component, ev.Inventory = has[0], lattice.Inventory{}
			}
			return st.Fold(ev, now)
		}
		s := time.Second
		fold(0, 0, lattice.HostHeartbeat)
		fold(30*s, 0, lattice.HostHeartbeat)
		fold(59*s+900*time.Millisecond, 0, lattice.ComponentScaled, runs)
		// Set back; the component goes and its event looks old.
		gone := runs
		gone.Max = 0
		fold(59*s+950*time.Millisecond, back, lattice.ComponentScaled, gone)
		ch := fold(60*s, back, lattice.HostHeartbeat)
		if back > s && !ch.AskInventory {
			t.Errorf("back by %v: nobody is asked", back)
		}
		if g := (lattice.Glimpse{Type: []byte(lattice.TypePrefix + "host_heartbeat"), Source: []byte("H"), Time: now.Add(30*s - back).UnixNano()}); st.Unchanged(&g, now.Add(30*s)) {
			t.Errorf("back by %v: the next heartbeat is not compared", back)
		}
		ch = fold(90*s, back, lattice.HostHeartbeat)
		if len(st.Hosts["H"].Workloads) != 0 && !ch.AskInventory {
			t.Errorf("back by %v: still there", back)
		}
		var polled lattice.Changes
		st.Polled(lattice.Inventory{Host: "H"}, lattice.Question{Sent: now}, now.Add(time.Millisecond), &polled)
		if ch := fold(91*s, back, lattice.ComponentScaled, runs); ch.Stale || ch.AskInventory || len(st.Hosts["H"].Workloads) != 1 {
			if back > s {
				t.Errorf("back by %v: an event counts for old after two heartbeats: %+v", back, ch)
			}
		}
	}
}

// TestAHostOfAnEarlierOwnerIsUsedWhenItHasTold: what it was known to run may be
// seconds old, and an event tells of one thing only.
func TestAHostOfAnEarlierOwnerIsUsedWhenItHasTold(t *testing.T) {
	t.Parallel()
	st := lattice.NewState()
	st.Restore(lattice.Inventory{Host: "H"}, begin)
	runs := lattice.Component{ID: "c", Image: "i", Max: 1}
	now := begin.Add(time.Second)
	ch := st.Fold(lattice.Event{Kind: lattice.ComponentScaled, Host: "H", Time: now, Component: runs}, now)
	if !ch.AskInventory || ch.Woke || !st.Hosts["H"].Silent {
		t.Errorf("after an event: %+v, silent %v", ch, st.Hosts["H"].Silent)
	}
	now = now.Add(time.Second)
	ch = st.Fold(lattice.Event{Kind: lattice.HostHeartbeat, Host: "H", Time: now, Inventory: lattice.Inventory{Host: "H", Components: []lattice.Component{runs}}}, now)
	if ch.AskInventory || !ch.Woke || st.Hosts["H"].Silent {
		t.Errorf("after its list: %+v, silent %v", ch, st.Hosts["H"].Silent)
	}
}

// TestHostsAreCalledByNameAndID, as far as they have a name that is fit for texts.
func TestHostsAreCalledByNameAndID(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 64)
	for name, want := range map[string]string{"a-1": "a-1 (N)", "": "N", long: long + " (N)", long + "x": "N"} {
		if got := (&lattice.Host{ID: "N", FriendlyName: name}).String(); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}
