//go:build chaos

package chaos_test

import (
	"flag"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"wadm/loadtest/chaos"
)

// Flags of longer runs; see the Makefile.
var (
	seeds   = flag.String("chaos.seeds", "1", "seeds of the long run: a number or from-to")
	servers = flag.Int("chaos.servers", 0, "NATS servers of the long run, 1 or 3; 0 takes turns")
)

// TestLong runs the seeds of -chaos.seeds, one or three NATS servers in turns.
func TestLong(t *testing.T) {
	from, to, err := seedRange(*seeds)
	if err != nil {
		t.Fatal(err)
	}
	runsServers(t)
	odd := anotherRing(t)
	var total chaos.Report
	for seed := from; seed <= to; seed++ {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			cfg := config(t)
			cfg.Seed, cfg.Servers, cfg.Odd = seed, *servers, odd
			if cfg.Servers == 0 {
				cfg.Servers = 1 + 2*int(seed%2)
			}
			if seed%10 == 4 {
				// Whoever is well must not feel these; beside others, that can hardly be asked.
				cfg.Kinds, cfg.Pause = []chaos.Kind{chaos.Busy, chaos.Backlog, chaos.Churn}, time.Second
			}
			if seed%5 == 3 {
				// No event is lost before it is stored, and hosts say so rarely how they are
				// that nothing else brings news in time.
				cfg.Kinds = slices.DeleteFunc(chaos.Kinds(), chaos.Kind.OfNATS)
				cfg.Heartbeat = 30 * time.Second
			}
			if seed%5 == 0 {
				// Nothing moves for these; among the others, that can hardly be asked.
				cfg.Kinds = []chaos.Kind{chaos.NATSKill, chaos.NATSRestart, chaos.NATSAll, chaos.Busy, chaos.Backlog, chaos.Churn}
				if cfg.Servers == 1 {
					cfg.Kinds = append(cfg.Kinds, chaos.NATSStop)
				}
			}
			cfg.Duration, cfg.Instances = 12*time.Second, 3+int(seed%2)
			rep := run(t, cfg)
			if bad := rep.Failure(); bad != "" {
				t.Error(bad)
			}
			total.Merge(rep)
		})
	}
	var b strings.Builder
	total.WriteText(&b)
	t.Logf("%d violations\n%s", len(total.Violations), &b)
}

func seedRange(s string) (from, to uint64, err error) {
	first, last, isRange := strings.Cut(s, "-")
	if from, err = strconv.ParseUint(first, 10, 64); err != nil {
		return 0, 0, fmt.Errorf("seeds %q: %w", s, err)
	}
	if !isRange {
		return from, from, nil
	}
	if to, err = strconv.ParseUint(last, 10, 64); err != nil || to < from {
		return 0, 0, fmt.Errorf("seeds %q are no range", s)
	}
	return from, to, nil
}
