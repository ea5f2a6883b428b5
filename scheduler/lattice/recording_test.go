package lattice_test

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"wadm/scheduler/lattice"
)

// recorded is one line of a recording of real 1.9.2 hosts: what they published
// and what they answered, with the seconds since its start.
type recorded struct {
	T float64 `json:"t"`
	// Kind is event, inventory, links or mark (a word on what is done next).
	Kind string          `json:"kind"`
	Data json.RawMessage `json:"data"`
}

// answer is the envelope of a host's answer.
type answer struct {
	Success  bool            `json:"success"`
	Response json.RawMessage `json:"response"`
}

func recordings(t testing.TB) map[string][]recorded {
	t.Helper()
	files, err := filepath.Glob("testdata/*.jsonl.gz")
	if err != nil || len(files) == 0 {
		t.Fatalf("no recordings: %v", err)
	}
	out := map[string][]recorded{}
	for _, f := range files {
		out[strings.TrimSuffix(filepath.Base(f), ".jsonl.gz")] = readRecording(t, f)
	}
	return out
}

func readRecording(t testing.TB, path string) []recorded {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var out []recorded
	lines := bufio.NewScanner(z)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var r recorded
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		out = append(out, r)
	}
	if err := lines.Err(); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return out
}

// inventoryOf decodes a recorded answer to host.get.
func inventoryOf(t testing.TB, r recorded) lattice.Inventory {
	t.Helper()
	var a answer
	if err := json.Unmarshal(r.Data, &a); err != nil || !a.Success {
		t.Fatalf("answer %s: %v", r.Data, err)
	}
	inv, err := lattice.DecodeInventory(a.Response)
	if err != nil {
		t.Fatalf("t=%v: %v", r.T, err)
	}
	return inv
}

func TestEverythingRealHostsSayIsUnderstood(t *testing.T) {
	t.Parallel()
	kinds := map[lattice.EventKind]int{}
	for name, lines := range recordings(t) {
		for _, r := range lines {
			switch r.Kind {
			case "event":
				ev, err := lattice.DecodeEvent(r.Data)
				if err != nil {
					t.Errorf("%s t=%v: %v", name, r.T, err)
					continue
				}
				kinds[ev.Kind]++
			case "inventory":
				if inv := inventoryOf(t, r); inv.Host == "" || inv.FriendlyName == "" || inv.Version != "1.9.2" || len(inv.Labels) < 3 {
					t.Errorf("%s t=%v: inventory is missing something: %+v", name, r.T, inv)
				}
			case "links":
				var a answer
				var links []lattice.Link
				if err := errors.Join(json.Unmarshal(r.Data, &a), json.Unmarshal(a.Response, &links)); err != nil {
					t.Errorf("%s t=%v: %v", name, r.T, err)
				}
				for _, l := range links {
					if l.Source == "" || l.Target == "" || l.Name == "" || l.Namespace == "" || l.Package == "" || len(l.Interfaces) == 0 {
						t.Errorf("%s t=%v: link is missing something: %+v", name, r.T, l)
					}
				}
			}
		}
	}
	for _, k := range []lattice.EventKind{
		lattice.HostStarted, lattice.HostStopped, lattice.HostHeartbeat, lattice.ComponentScaled, lattice.ComponentScaleFailed,
		lattice.ProviderStarted, lattice.ProviderStartFailed, lattice.ProviderStopped, lattice.HealthCheckPassed, lattice.HealthCheckStatus,
		lattice.LinkSet, lattice.LinkSetFailed, lattice.LinkDeleted, lattice.ConfigSet, lattice.ConfigDeleted, lattice.LabelsChanged,
	} {
		if kinds[k] == 0 {
			t.Errorf("no recording shows %s", k)
		}
	}
}

// folder folds a recording and knows when the fold has said that it can't be
// sure of a host.
type folder struct {
	state  *lattice.State
	unsure map[lattice.HostID]bool
	// lies counts the inventories that differ from what the events had told.
	lies int
}

func (f *folder) compare(t *testing.T, at float64, inv lattice.Inventory) {
	t.Helper()
	h := f.state.Hosts[inv.Host]
	if h == nil {
		return
	}
	opts := cmp.Options{
		cmpopts.SortSlices(func(a, b lattice.Component) bool { return a.ID < b.ID }),
		cmpopts.SortSlices(func(a, b lattice.Provider) bool { return a.ID < b.ID }),
		cmpopts.EquateEmpty(),
		// Hosts list no health.
		cmpopts.IgnoreFields(lattice.Provider{}, "Health"),
	}
	have := h.Inventory()
	if diff := cmp.Diff(inv, have, opts); diff != "" {
		f.lies++
		if !f.unsure[inv.Host] {
			t.Errorf("t=%v: events alone led elsewhere, and no inventory was asked for (-host +folded):\n%s", at, diff)
		}
	}
	delete(f.unsure, inv.Host)
}

func TestEventsTellWhatTheInventoryWillShow(t *testing.T) {
	t.Parallel()
	// The number of inventories that the events before them had misrepresented:
	// annotations that lag by one, and the wrong image after a scale command.
	lies := map[string]int{"host-commands": 2, "host-image-update": 1}
	for name, lines := range recordings(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := folder{state: lattice.NewState(), unsure: map[lattice.HostID]bool{}}
			var base time.Time
			for _, r := range lines {
				switch r.Kind {
				case "event":
					ev, err := lattice.DecodeEvent(r.Data)
					if err != nil {
						t.Fatal(err)
					}
					since := time.Duration(r.T * float64(time.Second))
					if base.IsZero() {
						base = ev.Time.Add(-since)
					}
					if ev.Kind == lattice.HostHeartbeat {
						f.compare(t, r.T, ev.Inventory)
					}
					ch := f.state.Fold(ev, base.Add(since))
					if ch.AskInventory {
						f.unsure[ch.Host] = true
					}
					if ch.Stale {
						t.Errorf("t=%v: %s was taken for stale", r.T, ev.Kind)
					}
				case "inventory":
					inv := inventoryOf(t, r)
					f.compare(t, r.T, inv)
					var ch lattice.Changes
					now := base.Add(time.Duration(r.T * float64(time.Second)))
					f.state.Polled(inv, lattice.Question{Sent: now.Add(-time.Millisecond)}, now, &ch)
				}
			}
			if f.lies != lies[name] {
				t.Errorf("%d inventories differed from the events, want %d", f.lies, lies[name])
			}
			if len(f.state.Hosts) != 0 {
				t.Errorf("%d hosts are left after all have stopped", len(f.state.Hosts))
			}
		})
	}
}

// A consumer may be given events twice and out of order; what is known in the
// end is the same.
func TestRedeliveryAndReorderingChangeNothing(t *testing.T) {
	t.Parallel()
	fold := func(events []lattice.Event, now time.Time) map[lattice.HostID]lattice.Inventory {
		s := lattice.NewState()
		for _, ev := range events {
			s.Fold(ev, now)
		}
		out := map[lattice.HostID]lattice.Inventory{}
		for id, h := range s.Hosts {
			out[id] = h.Inventory()
		}
		return out
	}
	for name, lines := range recordings(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var events []lattice.Event
			for _, r := range lines {
				if r.Kind != "event" {
					continue
				}
				ev, err := lattice.DecodeEvent(r.Data)
				if err != nil {
					t.Fatal(err)
				}
				if ev.Kind != lattice.HostStopped {
					events = append(events, ev)
				}
			}
			now := events[len(events)-1].Time
			// Up to the first heartbeat of each host nothing orders a host's start.
			want := fold(events, now)
			for n := range 20 {
				// Groups of n+2 events come backwards, each twice.
				mixed := slices.Clone(events)
				for i := 0; i < len(mixed); i += n + 2 {
					slices.Reverse(mixed[i:min(i+n+2, len(mixed))])
				}
				var twice []lattice.Event
				for _, ev := range mixed {
					twice = append(twice, ev, ev)
				}
				if diff := cmp.Diff(want, fold(twice, now), cmpopts.EquateEmpty()); diff != "" {
					t.Fatalf("groups of %d backwards (-in order +mixed):\n%s", n+2, diff)
				}
			}
		})
	}
}

func heartbeats(t testing.TB) [][]byte {
	t.Helper()
	var out [][]byte
	all := recordings(t)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		for _, r := range all[name] {
			if r.Kind == "event" && strings.Contains(string(r.Data), lattice.TypePrefix+string(lattice.HostHeartbeat)) {
				out = append(out, r.Data)
			}
		}
	}
	return out
}
