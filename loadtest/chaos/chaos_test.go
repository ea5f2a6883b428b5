package chaos_test

import (
	"strings"
	"testing"
	"time"

	"wadm/loadtest/chaos"
)

func run(t *testing.T, cfg chaos.Config) *chaos.Report {
	t.Helper()
	rep, err := chaos.Run(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	rep.WriteText(&b)
	t.Logf("seed %d, %d NATS servers, %v\n%s", rep.Seed, rep.Servers, rep.Took.Round(time.Second), &b)
	return rep
}

// TestNothingThatMustNotHappenHappens is the short slice of the suite.
func TestNothingThatMustNotHappenHappens(t *testing.T) {
	cfg := config(t)
	cfg.Seed, cfg.Duration, cfg.Longest, cfg.Pause = 1, 10*time.Second, 4*time.Second, time.Second
	if bad := run(t, cfg).Failure(); bad != "" {
		t.Error(bad)
	}
}
