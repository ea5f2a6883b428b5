package natsjs_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"wadm/config/natsconn/natstest"
	"wadm/scheduler"
	"wadm/scheduler/core"
	"wadm/scheduler/lattice"
	"wadm/scheduler/natsjs"
)

// snapshot is that of a lattice whose hosts run the same workloads, as daemons do.
func snapshot(t testing.TB, hosts, workloads int) []byte {
	t.Helper()
	st := core.New(core.Config{})
	now := time.Unix(1_764_035_000, 0)
	if _, err := st.Start(nil, nil, now); err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 2))
	key := func(n int) string {
		var b strings.Builder
		for range n {
			b.WriteByte("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"[r.IntN(32)])
		}
		return b.String()
	}
	scalers := make([]string, workloads)
	for i := range scalers {
		scalers[i] = key(64)
	}
	var ids []lattice.HostID
	var all []lattice.Inventory
	for h := range hosts {
		inv := lattice.Inventory{
			Host: lattice.HostID("N" + key(55)), FriendlyName: fmt.Sprintf("quiet-sun-%d", r.IntN(10_000)), Version: "1.9.2",
			Labels: map[string]string{"hostcore.arch": "x86_64", "hostcore.os": "linux", "hostcore.osfamily": "unix", "zone": fmt.Sprint(h % 3)},
		}
		for i := range workloads {
			inv.Components = append(inv.Components, lattice.Component{
				ID:    lattice.WorkloadID(fmt.Sprintf("app_%d-component_%d", i/4, i)),
				Image: fmt.Sprintf("ghcr.io/wasmcloud/components/http-hello-world-rust:0.%d.0", i), Max: r.Uint32N(100),
				Annotations: map[string]string{
					lattice.AnnotationManagedBy: lattice.ManagedBy, lattice.AnnotationApp: fmt.Sprintf("app-%d", i/4),
					lattice.AnnotationScaler: scalers[i], lattice.AnnotationSpread: "default",
				},
			})
		}
		ids, all = append(ids, inv.Host), append(all, inv)
	}
	st.HostsListed(ids, now)
	for _, inv := range all {
		st.InventoryRead(inv, now)
	}
	return st.Snapshot()
}

func TestTheStateOfThousandsOfHostsFitsIntoOneMessage(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	js := srv.JetStream(t)
	l := newLedger(t, srv)
	c := claim(t, js, lattice1("default"))
	state := snapshot(t, 3000, 20)
	if len(state) < 8<<20 {
		t.Fatalf("the state has %d bytes only", len(state))
	}
	if err := l.SaveState(t.Context(), c, state); err != nil {
		t.Fatal(err)
	}
	if got, err := l.LoadState(t.Context(), c); err != nil || !bytes.Equal(got, state) {
		t.Errorf("%d bytes came back, want %d: %v", len(got), len(state), err)
	}
}

func TestAStateThatIsTooLargeIsRefusedAndTheOldOneStays(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	js := srv.JetStream(t)
	l := newLedger(t, srv)
	c := claim(t, js, lattice1("default"))
	if err := l.SaveState(t.Context(), c, []byte("old")); err != nil {
		t.Fatal(err)
	}
	noise := make([]byte, 2<<20)
	for i := range noise {
		noise[i] = byte(rand.Uint32())
	}
	refused := func(state []byte) {
		t.Helper()
		if err := l.SaveState(t.Context(), c, state); !errors.Is(err, scheduler.ErrTooLarge) || errors.Is(err, scheduler.ErrUnknownOutcome) {
			t.Errorf("%d bytes: %v", len(state), err)
		}
		if got, err := l.LoadState(t.Context(), c); err != nil || string(got) != "old" {
			t.Errorf("%q, %v", got, err)
		}
	}
	refused(noise)
	// An operator's limit of the stream counts as well.
	cfg := streamConfig(t, js, "wadm_ledger")
	cfg.MaxMsgSize = 64 << 10
	if _, err := js.UpdateStream(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	refused(noise[:128<<10])
}

func TestPlainStatesAreReadAndDamagedOnesLeftAside(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	js := srv.JetStream(t)
	l := newLedger(t, srv)
	c := claim(t, js, lattice1("default"))
	load := func(stored string) []byte {
		t.Helper()
		if _, err := js.Publish(t.Context(), "wadm.state.default.default", []byte(stored)); err != nil {
			t.Fatal(err)
		}
		state, err := l.LoadState(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		return state
	}
	if got := load(`{"apps":["a"]}`); string(got) != `{"apps":["a"]}` {
		t.Errorf("plain: %q", got)
	}
	if got := load(""); got != nil {
		t.Errorf("empty: %q", got)
	}
	for _, damaged := range []string{
		"\x28\xb5\x2f\xfd", "\x28\xb5\x2f\xfd\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
		string(natsjs.EncodeState([]byte("whole")))[:8],
		"\x28\xb5\x2f\xfd\xe0\x00\x00\x00\x00\x01\x00\x00\x00\x01\x00\x00", // 4 GiB, it says
	} {
		if got := load(damaged); got != nil {
			t.Errorf("%q: %q", damaged, got)
		}
	}
}

func TestAStateThatIsForgottenIsGoneAndFenced(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	js := srv.JetStream(t)
	l := newLedger(t, srv)
	old := claim(t, js, lattice1("default"))
	c := claim(t, js, lattice1("default"))
	if err := l.SaveState(t.Context(), c, []byte("{}")); err != nil {
		t.Fatal(err)
	}
	if err := l.ForgetState(t.Context(), old); !errors.Is(err, scheduler.ErrFenced) {
		t.Errorf("under an older claim: %v", err)
	}
	if got, err := l.LoadState(t.Context(), c); err != nil || string(got) != "{}" {
		t.Errorf("before: %q, %v", got, err)
	}
	if err := l.ForgetState(t.Context(), c); err != nil {
		t.Error(err)
	}
	if got, err := l.LoadState(t.Context(), c); err != nil || got != nil {
		t.Errorf("after: %q, %v", got, err)
	}
	st, err := js.Stream(t.Context(), "wadm_ledger")
	if err != nil {
		t.Fatal(err)
	}
	m, err := st.GetLastMsgForSubject(t.Context(), "wadm.state.default.default")
	if err != nil || m.Header.Get(jetstream.MsgTTLHeader) == "" {
		t.Errorf("what stands for it stays: %v, %v", m, err)
	}
}

func FuzzState(f *testing.F) {
	f.Add([]byte(`{"apps":["a"]}`))
	f.Add([]byte("\x28\xb5\x2f\xfdab"))
	f.Add(natsjs.EncodeState([]byte("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")))
	f.Fuzz(func(t *testing.T, data []byte) {
		if state, err := natsjs.DecodeState(data); (state == nil) != (err != nil) {
			t.Errorf("%q: %v", state, err)
		}
		if state, err := natsjs.DecodeState(natsjs.EncodeState(data)); err != nil || !bytes.Equal(state, data) {
			t.Errorf("%q became %q: %v", data, state, err)
		}
	})
}

// BenchmarkEncodeState measures the snapshot of 1,000 hosts with 20 workloads each.
func BenchmarkEncodeState(b *testing.B) {
	state := snapshot(b, 1000, 20)
	var stored []byte
	for b.Loop() {
		stored = natsjs.EncodeState(state)
	}
	b.ReportMetric(float64(len(state)), "plain-B")
	b.ReportMetric(float64(len(stored)), "stored-B")
}
