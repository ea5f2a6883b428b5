package churn_test

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"wadm/config/natsconn/natstest"
	"wadm/loadtest/churn"
	"wadm/loadtest/conform"
	"wadm/loadtest/process"
)

// TestWhateverHappensTheServerConverges is the short slice of what make churn
// does for long: two lattices, fifteen seconds, three seeds.
func TestWhateverHappensTheServerConverges(t *testing.T) {
	if testing.Short() {
		t.Skip("takes half a minute")
	}
	t.Parallel()
	ns := natstest.Start(t)
	path, err := process.Build(t.Context(), t.TempDir(), false)
	if err != nil {
		t.Fatal(err)
	}
	server, err := process.Start(process.Command{Path: path, Args: []string{"-s", ns.URL(), "--command-deadline", "3s"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Kill)
	nc := ns.Connect(t)
	if err := conform.Answering(t.Context(), nc); err != nil {
		t.Fatalf("%v\n%s", err, server.Output())
	}

	for _, seed := range []uint64{0, 1, 2} {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			t.Parallel()
			plan, err := churn.NewPlan(churn.Config{Seed: seed, Prefix: fmt.Sprintf("s%dx", seed), Heartbeat: 500 * time.Millisecond})
			if err != nil {
				t.Fatal(err)
			}
			report, err := churn.Run(t.Context(), nc, plan)
			if err != nil {
				t.Fatal(err)
			}
			if report.Total == 0 || report.Deploy.Count == 0 {
				t.Error("nothing was commanded")
			}
			if len(report.Violations) > 0 {
				var b bytes.Buffer
				report.WriteText(&b)
				t.Error(b.String())
			}
		})
	}
}
