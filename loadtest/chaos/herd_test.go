//go:build chaos

package chaos_test

import (
	"strings"
	"testing"
	"time"

	"wadm/loadtest/chaos"
)

// TestTheHerdIsBounded: who succeeds a crashed instance claims few lattices at once.
// The bound is far lower than by default, because a run has few lattices; without
// it more claims are seen.
func TestTheHerdIsBounded(t *testing.T) {
	narrow := []edit{
		{"shard/holdings_config.go", "c.Parallel = 64", "c.Parallel = 2"},
		{"shard/holdings_config.go", "c.MaxStopping = 64", "c.MaxStopping = 2"},
	}
	for name, tc := range map[string]struct {
		edits []edit
		broke bool
	}{
		"few claims at once": {edits: narrow},
		"as many as there are": {edits: append(narrow, edit{
			"shard/holdings_step.go", "	return h.acquiring < h.cfg.Parallel && h.tokens >= 1\n", "	return true\n",
		}), broke: true},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := config(t)
			cfg.Binary = mutant(t, tc.edits...)
			cfg.Instances, cfg.Lattices, cfg.Churning, cfg.InFlight = 2, 48, -1, 4
			cfg.Probe = time.Second
			cfg.Schedule = chaos.Schedule{{Kind: chaos.Kill, For: 8 * time.Second}}
			rep := run(t, cfg)
			found := false
			for _, v := range rep.Violations {
				found = found || strings.HasPrefix(v, "I8: ") && strings.Contains(v, "claims of one instance")
			}
			switch {
			case !tc.broke && len(rep.Violations) > 0:
				t.Error(rep.Failure())
			case tc.broke && !found:
				t.Errorf("not found out; what was found: %s", rep.Failure())
			}
		})
	}
}
