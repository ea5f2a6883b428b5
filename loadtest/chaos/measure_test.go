//go:build chaos

package chaos_test

import (
	"flag"
	"fmt"
	"strings"
	"testing"
	"time"

	"wadm/loadtest/chaos"
)

var (
	lattices = flag.Int("chaos.lattices", 200, "lattices of the measurements")
	big      = flag.Int("chaos.big", 1000, "lattices of the rolling restart")
)

// every gives one fault after the other, far enough apart for the fleet to be as
// it was before.
func every(pause time.Duration, faults ...chaos.Fault) (s chaos.Schedule) {
	for i, f := range faults {
		f.At = 5*time.Second + time.Duration(i)*pause
		s = append(s, f)
	}
	return s
}

// doublesNothing: what a planned hand-over or nothing at all can lead to is no
// command for what was so already.
func doublesNothing(t *testing.T, rep *chaos.Report) {
	t.Helper()
	if rep.Needless > 0 {
		t.Errorf("%d of %d commands asked for what was so already", rep.Needless, rep.Commands)
	}
}

// measure runs and prints one line per figure, for docs/explanation/sharding-measured.md.
func measure(t *testing.T, cfg chaos.Config) *chaos.Report {
	t.Helper()
	cfg.Churning, cfg.Heartbeat, cfg.Settle = -1, 30*time.Second, 3*time.Minute
	rep := run(t, cfg)
	if bad := rep.Failure(); bad != "" {
		t.Error(bad)
	}
	return rep
}

// TestMeasureFailover: a crash, an orderly stop, and trouble of NATS only, with four instances.
func TestMeasureFailover(t *testing.T) {
	for _, servers := range []int{1, 3} {
		t.Run(fmt.Sprint(servers), func(t *testing.T) {
			const away = 8 * time.Second // long enough to be missed
			for _, s := range []chaos.Schedule{
				every(40*time.Second, chaos.Fault{Kind: chaos.Kill, Target: 1, For: away}, chaos.Fault{Kind: chaos.Kill, Target: 2, For: away}),
				every(40*time.Second, chaos.Fault{Kind: chaos.Drain, Target: 1, For: away}, chaos.Fault{Kind: chaos.Drain, Target: 2, For: away}),
				every(15*time.Second, chaos.Fault{Kind: chaos.NATSRestart, For: 500 * time.Millisecond}, chaos.Fault{Kind: chaos.NATSKill, For: time.Second}, chaos.Fault{Kind: chaos.NATSStop, For: 2 * time.Second}),
			} {
				cfg := config(t)
				cfg.Servers, cfg.Instances, cfg.Lattices, cfg.Schedule, cfg.Probe = servers, 4, *lattices, s, time.Second
				// An election may take ten seconds.
				cfg.Coverage = 40 * time.Second
				measure(t, cfg)
			}
		})
	}
}

// TestMeasureSideBySide: more instances are not slower and double nothing.
func TestMeasureSideBySide(t *testing.T) {
	var b strings.Builder
	for n := 1; n <= 4; n++ {
		cfg := config(t)
		cfg.Instances, cfg.Lattices, cfg.Schedule, cfg.Duration, cfg.Probe = n, 30, chaos.Schedule{}, 10*time.Second, 250*time.Millisecond
		rep := measure(t, cfg)
		doublesNothing(t, rep)
		fmt.Fprintf(&b, "%d instances: %d reactions, p50 %v, p99 %v, %d needless commands\n", n, len(rep.Calm), rep.Calm.At(.5), rep.Calm.At(.99), rep.Needless)
	}
	t.Log(&b)
}

// TestMeasureRollingRestart restarts three instances, one after the other, under events.
func TestMeasureRollingRestart(t *testing.T) {
	cfg := config(t)
	cfg.Lattices, cfg.Probe = *big, 5*time.Second
	cfg.Schedule = every(45*time.Second,
		chaos.Fault{Kind: chaos.Drain, Target: 0, For: time.Second},
		chaos.Fault{Kind: chaos.Drain, Target: 1, For: time.Second},
		chaos.Fault{Kind: chaos.Drain, Target: 2, For: time.Second})
	cfg.Coverage = 40 * time.Second
	doublesNothing(t, measure(t, cfg))
}
