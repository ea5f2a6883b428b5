package simhost_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"wadm/loadtest/simhost"
	"wadm/scheduler/lattice"
)

// step is one thing done to a host, and the time until the next.
type step struct {
	Do   string
	ID   string
	Ref  string
	N    int
	Wait time.Duration
}

// TestBusyHostsOwnTheirRhythm: however hosts are kept busy, in the end every
// heartbeat was sent, their events are in the order of their times, what they
// show is what they run, and no work is left over.
func TestBusyHostsOwnTheirRhythm(t *testing.T) {
	t.Parallel()
	images := func(ref string) simhost.Image {
		img := simhost.Image{Mutes: strings.Contains(ref, "mute")}
		if strings.Contains(ref, "slow") {
			img.Fetch, img.Compile = time.Second, 8*time.Second
		}
		if strings.Contains(ref, "bad") {
			img.CompileError = "bad"
		}
		return img
	}
	steps := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) step {
		return step{
			Do:   rapid.SampledFrom([]string{"scale", "update", "start", "stop", "mute", "label"}).Draw(t, "do"),
			ID:   rapid.SampledFrom([]string{"a", "b"}).Draw(t, "id"),
			Ref:  rapid.SampledFrom([]string{"quick", "slow", "slow mute", "slow mute bad", "slow 2"}).Draw(t, "ref"),
			N:    rapid.IntRange(0, 2).Draw(t, "n"),
			Wait: time.Duration(rapid.IntRange(0, 9000).Draw(t, "wait")) * time.Millisecond,
		}
	}), 1, 20)
	rapid.Check(t, func(rt *rapid.T) {
		todo := steps.Draw(rt, "steps")
		var wrong []string
		bubble(t, simhost.Config{Images: images}, func(t *testing.T, w *world) {
			const interval = 3 * time.Second
			begin := time.Now()
			h := w.host(simhost.HostConfig{HeartbeatInterval: interval})
			for _, s := range todo {
				switch s.Do {
				case "scale":
					w.tell(on("component.scale", h), scaleTo(h, s.ID, s.Ref, s.N, "s"), nil)
				case "update":
					w.tell(on("component.update", h), encode(map[string]any{"component_id": s.ID, "new_component_ref": s.Ref, "host_id": h.ID()}), nil)
				case "start":
					w.tell(on("provider.start", h), startOf(h, s.ID, s.Ref, "s"), nil)
				case "stop":
					w.tell(on("provider.stop", h), stopOf(h, s.ID), nil)
				case "mute":
					if err := h.Mute(s.Wait / 2); err != nil {
						t.Fatal(err)
					}
				case "label":
					w.tell(on("label.put", h), `{"key":"k","value":"v"}`, nil)
				}
				time.Sleep(s.Wait)
			}
			time.Sleep(10 * time.Minute)
			beats, last := 0, time.Time{}
			for _, e := range w.heard("") {
				if !e.Time.After(last) {
					wrong = append(wrong, fmt.Sprintf("%s of %v after %v", e.Kind, e.Time, last))
				}
				last = e.Time
				if e.Kind == "host_heartbeat" {
					beats++
				}
			}
			if want := int(time.Since(begin) / interval); beats != want {
				wrong = append(wrong, fmt.Sprintf("%d heartbeats, want %d", beats, want))
			}
			var shown struct {
				Components []struct {
					ID  lattice.WorkloadID `json:"id"`
					Max uint32             `json:"max_instances"`
				} `json:"components"`
			}
			if err := json.Unmarshal(w.ask(on("host.get", h), "").Response, &shown); err != nil {
				t.Fatal(err)
			}
			for i, c := range h.Inventory().Components {
				if i >= len(shown.Components) || shown.Components[i].ID != c.ID || shown.Components[i].Max != c.Max {
					wrong = append(wrong, fmt.Sprintf("shows %+v, runs %+v", shown.Components, c))
				}
			}
			if n := h.Doing(); n != 0 {
				wrong = append(wrong, fmt.Sprintf("%d requests left over", n))
			}
			for _, r := range w.sim.Commands() {
				if !r.Answered {
					wrong = append(wrong, "no answer to "+r.Kind)
				}
			}
		})
		if len(wrong) > 0 {
			rt.Fatal(strings.Join(wrong, "\n"))
		}
	})
}
