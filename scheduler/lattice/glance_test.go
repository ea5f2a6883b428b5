package lattice_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"wadm/scheduler/lattice"
)

func TestGlanceAgreesWithDecoding(t *testing.T) {
	t.Parallel()
	for name, lines := range recordings(t) {
		for _, r := range lines {
			if r.Kind != "event" {
				continue
			}
			g, err := lattice.Glance(r.Data)
			if err != nil {
				t.Errorf("%s t=%v: %v", name, r.T, err)
				continue
			}
			ev, err := lattice.DecodeEvent(r.Data)
			if err != nil {
				t.Errorf("%s t=%v: %v", name, r.T, err)
				continue
			}
			checkGlimpse(t, g, ev)
		}
	}
}

func checkGlimpse(t *testing.T, g lattice.Glimpse, ev lattice.Event) {
	t.Helper()
	if got, want := string(g.Type), lattice.TypePrefix+string(ev.Kind); got != want {
		t.Errorf("type %q, decoded %q", got, want)
	}
	if g.Time != ev.Time.UnixNano() {
		t.Errorf("time %d, decoded %d", g.Time, ev.Time.UnixNano())
	}
	switch ev.Kind {
	case lattice.HealthCheckPassed, lattice.HealthCheckFailed, lattice.HealthCheckStatus:
	default:
		if string(g.Source) != string(ev.Host) {
			t.Errorf("source %q, decoded %q", g.Source, ev.Host)
		}
	}
	if g.IsHeartbeat() != (ev.Kind == lattice.HostHeartbeat) {
		t.Errorf("heartbeat %t, decoded %s", g.IsHeartbeat(), ev.Kind)
	}
}

// Two heartbeats have one digest exactly when they tell the same.
func TestDigestIsOneExactlyForOneInventory(t *testing.T) {
	t.Parallel()
	type beat struct {
		digest uint64
		inv    lattice.Inventory
	}
	var beats []beat
	for _, b := range heartbeats(t) {
		g, err := lattice.Glance(b)
		if err != nil {
			t.Fatal(err)
		}
		ev, err := lattice.DecodeEvent(b)
		if err != nil {
			t.Fatal(err)
		}
		beats = append(beats, beat{g.Digest, ev.Inventory})
	}
	opts := cmp.Options{
		cmpopts.SortSlices(func(a, b lattice.Component) bool { return a.ID < b.ID }),
		cmpopts.SortSlices(func(a, b lattice.Provider) bool { return a.ID < b.ID }),
	}
	same := 0
	for i, a := range beats {
		for _, b := range beats[:i] {
			equal := cmp.Equal(a.inv, b.inv, opts)
			if equal != (a.digest == b.digest) {
				t.Fatalf("inventories equal: %t, digests equal: %t\n%+v\n%+v", equal, a.digest == b.digest, a.inv, b.inv)
			}
			if equal {
				same++
			}
		}
	}
	if same == 0 {
		t.Error("no two heartbeats told the same")
	}
}

// shuffled writes a JSON value with the members of its objects and the elements
// of its arrays in another order, and with other spacing.
func shuffled(out *bytes.Buffer, v any, r *rand.Rand, arrays bool) {
	space := func() { out.WriteString([]string{"", " ", "\n\t"}[r.IntN(3)]) }
	switch v := v.(type) {
	case map[string]any:
		keys := slices.Sorted(maps.Keys(v))
		r.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
		out.WriteByte('{')
		for i, k := range keys {
			if i > 0 {
				out.WriteByte(',')
			}
			space()
			key, _ := json.Marshal(k)
			out.Write(key)
			space()
			out.WriteByte(':')
			shuffled(out, v[k], r, arrays)
		}
		space()
		out.WriteByte('}')
	case []any:
		if arrays {
			r.Shuffle(len(v), func(i, j int) { v[i], v[j] = v[j], v[i] })
		}
		out.WriteByte('[')
		for i, x := range v {
			if i > 0 {
				out.WriteByte(',')
			}
			space()
			shuffled(out, x, r, arrays)
		}
		out.WriteByte(']')
	default:
		b, _ := json.Marshal(v)
		out.Write(b)
	}
}

func TestDigestIgnoresOrderSpacingAndUptime(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	for _, b := range heartbeats(t) {
		want, err := lattice.Glance(b)
		if err != nil {
			t.Fatal(err)
		}
		var v map[string]any
		if err := json.Unmarshal(b, &v); err != nil {
			t.Fatal(err)
		}
		data := v["data"].(map[string]any)
		data["uptime_seconds"], data["uptime_human"] = 12345, "3h 25m 45s"
		var buf bytes.Buffer
		shuffled(&buf, v, r, true)
		got, err := lattice.Glance(buf.Bytes())
		if err != nil {
			t.Fatalf("%v: %s", err, buf.Bytes())
		}
		if got.Digest != want.Digest {
			t.Fatalf("digest differs:\n%s\n%s", b, buf.Bytes())
		}
		data["labels"].(map[string]any)["zone"] = "elsewhere"
		buf.Reset()
		shuffled(&buf, v, r, true)
		if got, err := lattice.Glance(buf.Bytes()); err != nil || got.Digest == want.Digest {
			t.Fatalf("a changed label does not show in the digest (%v)", err)
		}
	}
}

func TestGlanceRefusesWhatItCannotBeSureOf(t *testing.T) {
	t.Parallel()
	good := `{"type":"com.wasmcloud.lattice.host_heartbeat","source":"N1","time":"2026-01-01T00:00:00Z","data":{"a":1}}`
	if _, err := lattice.Glance([]byte(good)); err != nil {
		t.Fatal(err)
	}
	deep := bytes.Repeat([]byte(`{"a":`), 100)
	for _, bad := range []string{
		"", "{}", "[]", "null", good[:len(good)-1], good + "x",
		`{"type":"t","source":"N1"}`,
		`{"type":"t","source":"N1","time":"yesterday"}`,
		`{"type":"t","source":"N1","time":"2026-02-30T00:00:00Z"}`,
		`{"type":"t","source":"N1","time":"2026-01-01T00:00:00"}`,
		`{"type":"t","source":"N\u0031","time":"2026-01-01T00:00:00Z"}`,
		`{"type":"t","Source":"N2","source":"N1","time":"2026-01-01T00:00:00Z"}`,
		`{"type":"t","source":"N1","time":"2026-01-01T00:00:00Z","so\u0075rce":"N2"}`,
		"{\"type\":\"t\",\"source\":\"N\x9f\",\"time\":\"2026-01-01T00:00:00Z\"}",
		`{"type":1,"source":"N1","time":"2026-01-01T00:00:00Z"}`,
		`{"type":"t","source":"N1","time":"2026-01-01T00:00:00Z","data":}`,
		`{"type":"t","source":"N1","time":"2026-01-01T00:00:00Z","data":` + string(deep) + `1`,
	} {
		if g, err := lattice.Glance([]byte(bad)); err == nil {
			t.Errorf("%q: %+v", bad, g)
		}
	}
}

func TestQuietHeartbeatAllocatesNothing(t *testing.T) {
	b := heartbeats(t)[10]
	ev, err := lattice.DecodeEvent(b)
	if err != nil {
		t.Fatal(err)
	}
	s := lattice.NewState()
	now := ev.Time.Add(time.Millisecond)
	s.Fold(ev, now)
	g, err := lattice.Glance(b)
	if err != nil {
		t.Fatal(err)
	}
	s.Hosts[ev.Host].SetDigest(g.Digest)
	if n := testing.AllocsPerRun(100, func() {
		g, err := lattice.Glance(b)
		if err != nil || !s.Unchanged(&g, now) {
			t.Fatal("not taken for unchanged")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkGlance(b *testing.B) {
	beats := heartbeats(b)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, err := lattice.Glance(beats[i%len(beats)]); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodeEvent(b *testing.B) {
	beats := heartbeats(b)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, err := lattice.DecodeEvent(beats[i%len(beats)]); err != nil {
			b.Fatal(err)
		}
	}
}
