package natsjs_test

import (
	"encoding/json"
	"testing"

	"wadm/scheduler/natsjs"
)

func TestAckSubjectReadsBothForms(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]uint64{
		"$JS.ACK.wasmbus_events.wadm-default.1.4711.9.1764035000000000000.3":               4711,
		"$JS.ACK.dom.abcdef.wasmbus_events.wadm-default.1.4711.9.1764035000000000000.3":    4711,
		"$JS.ACK.dom.abcdef.wasmbus_events.wadm-default.1.4711.9.1764035000000000000.3.rn": 4711,
		"$JS.ACK.wasmbus_events.wadm-default.1.x.9.1764035000000000000.3":                  0,
		"$JS.ACK.wasmbus_events.wadm-default.1.4711.x.1764035000000000000.3":               0,
		"$JS.ACK.a.b.c": 0,
		"_INBOX.a.b":    0,
		"":              0,
	} {
		seq, count, stored, ok := natsjs.AckSubject(s)
		if seq != want && ok || ok != (want > 0) || ok && (count != 9 || stored != 1764035000000000000) {
			t.Errorf("%s: %d %d %d %v", s, seq, count, stored, ok)
		}
	}
}

func FuzzAckSubject(f *testing.F) {
	f.Add("$JS.ACK.s.c.1.2.3.4.5")
	f.Add("$JS.ACK.d.h.s.c.1.2.3.4.5.r")
	f.Fuzz(func(t *testing.T, s string) {
		if seq, count, _, ok := natsjs.AckSubject(s); ok && (seq == 0 || count == 0) {
			t.Errorf("%q: sequence 0", s)
		}
	})
}

func FuzzDoubt(f *testing.F) {
	data, err := json.Marshal(commands("a", "b"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data, []byte(`{"resolved":["a"]}`))
	f.Add([]byte("[null]"), []byte("null"))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		seen := map[string]bool{}
		for _, c := range natsjs.Doubt(a, b) {
			if seen[c.ID] {
				t.Errorf("%q twice", c.ID)
			}
			seen[c.ID] = true
		}
	})
}

func TestCovers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		filter, sub string
		want        bool
	}{
		{"a.>", "a.b.c", true},
		{"a.>", "a", false},
		{"a.*.*", "a.b.*", true},
		{"a.*.*", "a.>", false},
		{"a.b.*", "a.*.*", false},
		{"*.a", "b.a", true},
		{">", "a.>", true},
		{"a.*", "a.b.c", false},
	} {
		if got := natsjs.Covers(c.filter, c.sub); got != c.want {
			t.Errorf("%s covers %s: %v", c.filter, c.sub, got)
		}
	}
}
