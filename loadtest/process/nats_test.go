package process_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"wadm/loadtest/simhost"
	"wadm/tenancy"
)

func TestNATSRestartedUnderneathNothingIsLostOrDoneTwice(t *testing.T) {
	t.Parallel()
	const components = 3
	r := newRig(t)
	answered := make(chan struct{}, 1000)
	l := r.lattice("default", 4, simhost.Config{
		Images: slowly, ShutdownDelay: 200 * time.Millisecond, RequireEpoch: true,
		OnCommand: func(simhost.Record) { answered <- struct{}{} },
	})
	seedForeign(t, l)
	c := r.client("default")
	in := r.start("one", deadline...)
	// underWay restarts NATS when the hosts have answered n more commands.
	underWay := func(n int) {
		t.Helper()
		for range n {
			select {
			case <-answered:
			case <-r.ctx.Done():
				t.Fatal("too few commands")
			}
		}
		r.nats.Restart(t)
	}
	r.put(c, web(components))
	r.deploy(c, "web")
	underWay(8)
	r.eventually("deployed", func() error { return whole(l, components) })
	r.awaitStatus(c, "web", tenancy.StatusDeployed)
	got := commandsSince(l, 0)
	if got.stops+got.updates > 0 {
		t.Errorf("%d stops, %d updates in a deploy", got.stops, got.updates)
	}

	// At rest a restart leads to no command at all.
	seen := len(l.Commands())
	events := r.metric(in, "wadm_events_total")
	r.nats.Restart(t)
	r.eventually("ready again", func() error {
		if status, body := r.get(in.admin + "/readyz"); status != http.StatusOK {
			return fmt.Errorf("%d %s", status, body)
		}
		return nil
	})
	r.eventually("an event arrives", func() error {
		h := l.Hosts()[0]
		labels := map[string]string{"zone": h.Inventory().Labels["zone"], "visited": fmt.Sprint(time.Now().UnixNano())}
		if err := h.Relabel(labels); err != nil {
			return err
		}
		if r.metric(in, "wadm_events_total") == events {
			return fmt.Errorf("none since %v", events)
		}
		return nil
	})
	for _, more := range l.Commands()[seen:] {
		t.Errorf("command after a restart at rest: %s at %s: %s", more.Kind, more.Host, more.Body)
	}

	for len(answered) > 0 {
		<-answered
	}
	r.undeploy(c, "web")
	underWay(5)
	r.eventually("nothing is left", func() error { return bare(l) })
	r.awaitStatus(c, "web", tenancy.StatusUndeployed)
	if !in.Running() {
		t.Error("the server has ended")
	}
	spotless(t, l)
}

// lastClaim reads the newest claim record of a lattice.
func lastClaim(r *rig, key tenancy.LatticeKey) (owner, state string) {
	r.t.Helper()
	js, err := jetstream.New(r.nc)
	if err != nil {
		r.t.Fatal(err)
	}
	s, err := js.Stream(r.ctx, "wadm_ledger")
	if err != nil {
		r.t.Fatal(err)
	}
	m, err := s.GetLastMsgForSubject(r.ctx, "wadm.own."+key.Token())
	if err != nil {
		r.t.Fatal(err)
	}
	var record struct{ Owner, State string }
	if err := json.Unmarshal(m.Data, &record); err != nil {
		r.t.Fatal(err)
	}
	return record.Owner, record.State
}

func TestSIGTERMReleasesEveryClaimAndEndsWithZero(t *testing.T) {
	t.Parallel()
	const components = 3
	const drain = 10 * time.Second
	r := newRig(t)
	names := []string{"default", "second", "third"}
	lattices := map[string]*simhost.Lattice{}
	for _, n := range names {
		lattices[n] = r.lattice(n, 4, simhost.Config{Images: slowly, RequireEpoch: true})
	}
	in := r.start("one", append([]string{"--drain-timeout", drain.String()}, deadline...)...)
	for _, n := range names {
		c := r.client(n)
		r.put(c, web(components))
		r.deploy(c, "web")
	}
	// In the middle of work, in all of them.
	for _, n := range names {
		r.eventually("work has begun in "+n, func() error {
			if len(lattices[n].Commands()) < 8 {
				return fmt.Errorf("%d commands", len(lattices[n].Commands()))
			}
			return nil
		})
	}
	at := time.Now()
	if code := r.stop(in, syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d", code)
	}
	took := time.Since(at)
	t.Logf("stopped in %v", took.Round(time.Millisecond))
	if took > drain+5*time.Second {
		t.Errorf("the stop took %v", took)
	}
	for _, n := range names {
		if owner, state := lastClaim(r, tenancy.LatticeKey{Tenant: tenancy.DefaultTenant, Lattice: tenancy.Lattice(n)}); owner != "one" || state != "released" {
			t.Errorf("claim on %s is %s by %s", n, state, owner)
		}
	}
	if !strings.Contains(in.Output(), "wadm has stopped") {
		t.Error("the log does not say that it stopped")
	}

	r.start("two", deadline...)
	for _, n := range names {
		r.awaitStatus(r.client(n), "web", tenancy.StatusDeployed)
		if err := whole(lattices[n], components); err != nil {
			t.Errorf("lattice %s: %v", n, err)
		}
		got := commandsSince(lattices[n], 0)
		if got.stops+got.updates > 0 {
			t.Errorf("lattice %s: %d stops, %d updates in a deploy", n, got.stops, got.updates)
		}
		for _, s := range got.needless {
			t.Errorf("lattice %s: needless: %s", n, s)
		}
		spotless(t, lattices[n])
	}
}
