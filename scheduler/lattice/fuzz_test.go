package lattice_test

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"testing"
	"time"

	"wadm/scheduler/lattice"
)

func addEvents(f *testing.F) {
	for _, lines := range recordings(f) {
		for _, r := range lines {
			if r.Kind == "event" {
				f.Add([]byte(r.Data))
			}
		}
	}
}

func FuzzDecodeEvent(f *testing.F) {
	addEvents(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		ev, err := lattice.DecodeEvent(b)
		if err != nil {
			return
		}
		if ev.Host == "" || ev.Kind == "" {
			t.Fatalf("accepted without a host or a kind: %+v", ev)
		}
		// Whatever is accepted can be folded, again and again.
		s := lattice.NewState()
		now := time.Unix(1_800_000_000, 0)
		s.Fold(ev, now)
		s.Fold(ev, now.Add(time.Minute))
		for id, h := range s.Hosts {
			if h.ID != id {
				t.Fatalf("host %q under the key %q", h.ID, id)
			}
		}
	})
}

func FuzzDecodeInventory(f *testing.F) {
	for _, lines := range recordings(f) {
		for _, r := range lines {
			if r.Kind == "inventory" {
				var a answer
				if json.Unmarshal(r.Data, &a) == nil {
					f.Add([]byte(a.Response))
				}
			}
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		inv, err := lattice.DecodeInventory(b)
		if err != nil {
			return
		}
		for _, c := range inv.Components {
			if c.ID == "" || c.Annotations == nil {
				t.Fatalf("component without id or annotations: %+v", c)
			}
		}
		for _, p := range inv.Providers {
			if p.ID == "" || p.Annotations == nil {
				t.Fatalf("provider without id or annotations: %+v", p)
			}
		}
		s := lattice.NewState()
		var ch lattice.Changes
		s.Polled(inv, lattice.Question{Sent: time.Unix(1_800_000_000, 0)}, time.Unix(1_800_000_001, 0), &ch)
	})
}

func FuzzGlance(f *testing.F) {
	addEvents(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		g, err := lattice.Glance(b)
		if err != nil {
			return
		}
		ev, err := lattice.DecodeEvent(b)
		if err != nil {
			// A glance checks less. What it lets through is decoded in full unless it
			// has the digest of something that was.
			return
		}
		checkGlimpse(t, g, ev)
		var v map[string]any
		dec := json.NewDecoder(bytes.NewReader(b))
		dec.UseNumber()
		if dec.Decode(&v) != nil {
			return
		}
		// Two ways to write it have one digest. (Escapes and doubled keys are compared
		// as written, so both come from the encoder.)
		glimpse := func(seed uint64) lattice.Glimpse {
			var buf bytes.Buffer
			shuffled(&buf, v, rand.New(rand.NewPCG(seed, 1)), false)
			g, err := lattice.Glance(buf.Bytes())
			if err != nil {
				return lattice.Glimpse{}
			}
			return g
		}
		if a, b := glimpse(1), glimpse(2); a.Digest != b.Digest {
			t.Fatalf("digest depends on the order: %x, %x", a.Digest, b.Digest)
		}
	})
}
