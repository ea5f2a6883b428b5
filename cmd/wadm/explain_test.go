package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"wadm/config/natsconn/natstest"
	"wadm/loadtest/simhost"
	"wadm/tenancy"
	"wadm/tenancy/api"
)

// TestAnyInstanceExplainsEveryLattice: whichever instance a question reaches, the
// owner's answer comes back.
func TestAnyInstanceExplainsEveryLattice(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	ns := natstest.Start(t)
	nc := ns.Connect(t)
	servers := map[string]*server{}
	for _, name := range []string{"one", "two"} {
		servers[name], _ = startAs(t, name, ns.URL(), "", slog.New(slog.DiscardHandler))
	}
	const lattices = 8
	clients := map[tenancy.Lattice]*api.Client{}
	for i := range lattices {
		name := tenancy.Lattice(fmt.Sprintf("l%d", i))
		sim, err := simhost.New(nc, string(name), simhost.Config{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(sim.Close)
		if _, err := sim.AddHost(simhost.HostConfig{}); err != nil {
			t.Fatal(err)
		}
		c, err := api.NewClient(nc, api.ClientConfig{Lattice: name})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Put(ctx, []byte(hello), ""); err != nil {
			t.Fatal(err)
		}
		clients[name] = c
	}
	for deadline := time.Now().Add(40 * time.Second); servers["one"].scheduler.Owned() == 0 || servers["two"].scheduler.Owned() == 0 ||
		servers["one"].scheduler.Owned()+servers["two"].scheduler.Owned() < lattices; {
		if time.Now().After(deadline) {
			t.Fatalf("one owns %d, two %d", servers["one"].scheduler.Owned(), servers["two"].scheduler.Owned())
		}
		time.Sleep(10 * time.Millisecond)
	}
	for _, c := range clients {
		if _, err := c.Deploy(ctx, "hello", nil); err != nil {
			t.Fatal(err)
		}
	}
	owners := map[string]int{}
	for name, c := range clients {
		awaitStatus(ctx, t, c, "hello", tenancy.StatusDeployed)
		if _, err := c.Explain(ctx, "hello"); err != nil {
			t.Fatal(err)
		}
		// The instances themselves are asked too, so that each is asked for what the
		// other owns. A lattice may just have moved: then its owner still gathers.
		key := tenancy.LatticeKey{Tenant: tenancy.DefaultTenant, Lattice: name}
		for asked, s := range servers {
			var x explanation
			for ; !x.Gathered; time.Sleep(10 * time.Millisecond) {
				raw, err := s.explain(ctx, key, "hello")
				if errors.Is(err, api.ErrNoOwner) && ctx.Err() == nil {
					continue
				}
				if err != nil {
					t.Fatalf("%s of %s: %v", asked, name, err)
				}
				if err := json.Unmarshal(raw, &x); err != nil {
					t.Fatalf("%v: %s", err, raw)
				}
			}
			if x.App != "hello" || !x.Deployed || len(x.Scalers) != 3 || x.Status.Type != tenancy.StatusDeployed || x.Scalers[0].Have != 4 {
				t.Errorf("%s of %s: %+v", asked, name, x)
			}
			owners[x.Owner]++
		}
	}
	if owners["one"] == 0 || owners["two"] == 0 || owners["one"]+owners["two"] != 2*lattices {
		t.Errorf("answers by owner: %v", owners)
	}

	// What does not exist is not found, wherever it is asked.
	if _, err := clients["l0"].Explain(ctx, "nope"); !errors.Is(err, api.ErrNotFound) {
		t.Errorf("an unknown application: %v", err)
	}
	// A lattice without an owner, and subjects and answers that are none, are met with silence.
	short, done := context.WithTimeout(ctx, 300*time.Millisecond)
	defer done()
	if _, err := servers["one"].explain(short, tenancy.LatticeKey{Tenant: tenancy.DefaultTenant, Lattice: "nobodys"}, "hello"); !errors.Is(err, api.ErrNoOwner) {
		t.Errorf("a lattice without owner: %v", err)
	}
	heard, err := nc.SubscribeSync("elsewhere.>")
	if err != nil {
		t.Fatal(err)
	}
	for _, subject := range []string{"wadm.sys.explain.default.l0", "wadm.sys.explain.-.l0", "wadm.sys.explain.default.$x"} {
		for _, body := range []string{"hello", "a.b", "", strings.Repeat("x", 1<<16)} {
			if err := nc.PublishRequest(subject, "elsewhere.x", []byte(body)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := clients["l0"].Explain(ctx, "hello"); err != nil {
		t.Error(err)
	}
	if m, err := heard.NextMsg(50 * time.Millisecond); err == nil {
		t.Errorf("answered to %s: %s", m.Subject, m.Data)
	}
}

// TestInstancesWithInboxesOfTheirOwnAreExplainedTo: accounts with narrow permissions
// have a prefix per instance, which the others do not know.
func TestInstancesWithInboxesOfTheirOwnAreExplainedTo(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	ns := natstest.Start(t)
	s, _ := startAs(t, "one", ns.URL(), "", slog.New(slog.DiscardHandler))
	c, err := api.NewClient(ns.Connect(t), api.ClientConfig{Lattice: "l0"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Put(ctx, []byte(hello), ""); err != nil {
		t.Fatal(err)
	}
	for s.scheduler.Owned() == 0 {
		if ctx.Err() != nil {
			t.Fatal("the lattice has no owner")
		}
		time.Sleep(10 * time.Millisecond)
	}
	for _, prefix := range []string{"_INBOX", "_INBOX_two"} {
		nc := ns.Connect(t, nats.CustomInboxPrefix(prefix))
		m, err := nc.RequestWithContext(ctx, explainSubject+"default.l0", []byte("hello"))
		if err != nil {
			t.Fatalf("asked with %s: %v", prefix, err)
		}
		var x explanation
		if err := json.Unmarshal(m.Data, &x); err != nil || x.Owner != "one" {
			t.Errorf("asked with %s: %v: %s", prefix, err, m.Data)
		}
	}
}

// TestInboxesThatAreNamedAreAnswered by the API and by the other instances.
func TestInboxesThatAreNamedAreAnswered(t *testing.T) {
	t.Parallel()
	ns := natstest.Start(t)
	r := runInProcess(t, "-s", ns.URL(), "--api-reply-prefixes", "other,acme.inbox")
	nc := ns.Connect(t, nats.CustomInboxPrefix("acme.inbox"))
	c, err := api.NewClient(nc, api.ClientConfig{Lattice: "l0"})
	if err != nil {
		t.Fatal(err)
	}
	waitUntil(t, r.log, func() bool {
		_, err := c.Put(t.Context(), []byte(hello), "")
		return err == nil || errors.Is(err, api.ErrExists)
	})
	waitUntil(t, r.log, func() bool {
		m, err := nc.Request(explainSubject+"default.l0", []byte("hello"), time.Second)
		return err == nil && json.Valid(m.Data)
	})
	if code := r.ended(t); code != 0 {
		t.Errorf("exit code %d, log:\n%s", code, r.log)
	}
}
