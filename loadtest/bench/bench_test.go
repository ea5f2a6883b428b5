package bench_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"wadm/config/natsconn/natstest"
	"wadm/loadtest/bench"
	"wadm/loadtest/conform"
	"wadm/loadtest/process"
)

// TestEverythingIsMeasured runs a tiny measurement against the server of this
// module. The figures themselves are the machine's.
func TestEverythingIsMeasured(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and runs a server")
	}
	t.Parallel()
	ns := natstest.Start(t)
	path, err := process.Build(t.Context(), t.TempDir(), false)
	if err != nil {
		t.Fatal(err)
	}
	server, err := process.Start(process.Command{Path: path, Args: []string{"-s", ns.URL()}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Kill)
	nc := ns.Connect(t)
	if err := conform.Answering(t.Context(), nc); err != nil {
		t.Fatalf("%v\n%s", err, server.Output())
	}
	counted := 0
	target := bench.Target{Name: "ours", NATS: nc, PID: server.PID(), Traffic: func() (bench.Traffic, error) {
		counted += 1000
		return bench.Traffic{Messages: int64(counted), Bytes: int64(counted)}, nil
	}}
	r, err := bench.Run(t.Context(), target, bench.Config{Lattices: 2, Hosts: 2, Components: 2, Rate: 20, Duration: time.Second, Reactions: 6, Deploys: 6})
	if err != nil {
		t.Fatal(err)
	}
	for name, d := range map[string]bench.Durations{"reaction": r.Reaction, "deploy": r.Deploy} {
		if d.Count != 6 || d.Missed != 0 || d.P50 < 0 || d.P99 < d.P50 || d.Max < d.P99 {
			t.Errorf("%s: %+v", name, d)
		}
	}
	for name, h := range map[string]bench.Heartbeats{"quiet": r.Quiet, "most": r.Most} {
		if h.Handled == 0 || h.Sent < h.Handled || h.Rate <= 0 || h.CPU < 0 || h.Messages <= 0 || h.Bytes <= 0 {
			t.Errorf("%s: %+v", name, h)
		}
	}
	if r.Quiet.Commands != 0 {
		t.Errorf("%d commands while nothing happened", r.Quiet.Commands)
	}
	if r.Most.Rate <= r.Quiet.Rate {
		t.Errorf("most is %v per second, quiet %v", r.Most.Rate, r.Quiet.Rate)
	}
	var b bytes.Buffer
	bench.Reports{r, r}.WriteText(&b)
	if !strings.Contains(b.String(), "most heartbeats handled per second") || !strings.Contains(b.String(), "1.00") {
		t.Errorf("report is %s", b.String())
	}
}

func TestImpossibleMeasurementsAreRefused(t *testing.T) {
	t.Parallel()
	nc := natstest.Start(t).Connect(t)
	for _, cfg := range []bench.Config{{Lattices: -1}, {Hosts: -1}, {Components: -1}, {Rate: -1}, {Duration: -1}, {Reactions: -1}, {Deploys: -1}, {Settle: -1}} {
		if _, err := bench.Run(t.Context(), bench.Target{NATS: nc}, cfg); !errors.Is(err, bench.ErrConfig) {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
}
