package main

import (
	"encoding/json"
	"os/exec"
	"strings"
	"testing"

	"wadm/config/natsconn/natstest"
)

func TestRingAndInstancesAreShownAndDrained(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	bin, err := server()
	if err != nil {
		t.Fatal(err)
	}
	var log lockedBuffer
	second := exec.Command(bin, "-s", w.nats.URL(), "--instance-id", "second")
	second.Stderr = &log
	if err := second.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- second.Wait() }()
	t.Cleanup(func() { _ = second.Process.Kill() })

	w.until("the second instance is in the view", func() bool {
		r := w.run("ring", "show")
		return r.code == 0 && strings.Contains(r.stdout, "second") && strings.Contains(r.stdout, "1 lattices") && !strings.Contains(r.stdout, "outside")
	})
	if r := w.run("instance", "list"); r.code != 0 || strings.Count(r.stdout, "active") != 2 || strings.Contains(r.stdout, " no ") {
		t.Errorf("instance list: %+v", r)
	}
	w.until("the lattice has an owner", func() bool {
		r := w.run("ring", "owner", "default")
		return r.code == 0 && strings.Contains(r.stdout, "epoch")
	})
	if r := w.run("ring", "owner", "nowhere"); r.code != exitNotFound {
		t.Errorf("owner of an unknown lattice: %+v", r)
	}
	if r := w.run("ring", "simulate", "--join", "third", "--leave", "second"); r.code != 0 || !strings.Contains(r.stdout, "of 1 lattices would move") || !strings.Contains(r.stdout, "third") {
		t.Errorf("simulate: %+v", r)
	}
	for _, c := range []struct {
		args string
		code int
	}{
		{"ring simulate", exitUsage}, {"ring simulate --leave third", exitNotFound}, {"ring simulate --join second", exitConflict},
		{"ring simulate --join a.b", exitUsage}, {"ring owner a.b", exitUsage}, {"instance drain third", exitNotFound}, {"instance drain >", exitUsage},
	} {
		if r := w.run(strings.Fields(c.args)...); r.code != c.code || r.stdout != "" {
			t.Errorf("%s: %+v, want exit code %d", c.args, r, c.code)
		}
	}

	r := w.run("-o", "json", "instance", "drain", "second", "--wait")
	var doc struct {
		APIVersion string
		Instance   string
		Ended      bool
	}
	if err := json.Unmarshal([]byte(r.stdout), &doc); r.code != 0 || err != nil || doc.APIVersion != apiVersion || doc.Instance != "second" || !doc.Ended {
		t.Errorf("drain: %+v, %v", r, err)
	}
	if err := <-ended; err != nil {
		t.Errorf("the drained instance ended with %v:\n%s", err, log.String())
	}
	w.until("the view is without it", func() bool { r := w.run("ring", "show"); return r.code == 0 && !strings.Contains(r.stdout, "\nsecond") })
	w.until("the other one owns the lattice", func() bool {
		r := w.run("ring", "owner", "default")
		return strings.Contains(r.stdout, "epoch") && !strings.Contains(r.stdout, "should")
	})
}

// TestInstancesWithAStreamPrefixAreFoundAndDrained: the same option names the same
// objects here as there.
func TestInstancesWithAStreamPrefixAreFoundAndDrained(t *testing.T) {
	t.Parallel()
	bin, err := server()
	if err != nil {
		t.Fatal(err)
	}
	for _, prefix := range []string{"acme", "acme.east"} {
		t.Run(prefix, func(t *testing.T) {
			t.Parallel()
			w := &world{t: t, nats: natstest.Start(t)}
			var log lockedBuffer
			cmd := exec.Command(bin, "-s", w.nats.URL(), "--instance-id", "one", "--stream-prefix", prefix)
			cmd.Stderr = &log
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() { ended <- cmd.Wait() }()
			t.Cleanup(func() { _ = cmd.Process.Kill() })
			w.until("the instance is listed", func() bool {
				r := w.run("instance", "list", "--stream-prefix", prefix)
				return r.code == 0 && strings.Contains(r.stdout, "one") && strings.Contains(r.stdout, "active") && !strings.Contains(r.stdout, " no ")
			})
			if r := w.run("instance", "drain", "one", "--wait", "--stream-prefix", prefix); r.code != 0 {
				t.Errorf("drain: %+v", r)
			}
			if err := <-ended; err != nil {
				t.Errorf("the drained instance ended with %v:\n%s", err, log.String())
			}
		})
	}
}

func TestRingOfNobodyIsNotFound(t *testing.T) {
	t.Parallel()
	s := natstest.Start(t)
	for _, args := range [][]string{{"ring", "show"}, {"instance", "list"}, {"ring", "owner", "default"}} {
		r := call(t.Context(), t, "", nil, append([]string{"-s", s.URL()}, args...)...)
		if r.code != exitNotFound || r.stdout != "" || !strings.Contains(r.stderr, "no wadm has run here") {
			t.Errorf("%v: %+v", args, r)
		}
	}
}
