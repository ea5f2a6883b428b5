package main

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"wadm/config/natsconn/natstest"
	"wadm/loadtest/simhost"
	"wadm/tenancy"
	"wadm/tenancy/api"
	"wadm/tenancy/catalog"
	"wadm/tenancy/manifest"
)

// TestWhatIsDeletedIsMadeAgain: somebody deletes a stream or a bucket while the
// server runs. It is there again before long, and what changes from then on, and
// what changed meanwhile, is acted on.
func TestWhatIsDeletedIsMadeAgain(t *testing.T) {
	t.Parallel()
	for _, stream := range []string{
		"wasmbus_events", "wadm_ledger", "wadm_status", "wadm_events", "KV_wadm_lattices", "KV_wadm_members", "KV_wadm_view",
	} {
		t.Run(stream, func(t *testing.T) {
			t.Parallel()
			inBubble(t, simhost.Config{RequireEpoch: true}, func(w *world) {
				t := w.t
				w.host("a")
				h := w.host("b")
				_, down := w.up("one")
				defer down()
				w.deploy("shop", zoned("shop", 2, "a", "b"))
				w.want(time.Minute, "shop", "shop-web", map[string]uint32{"a": 2, "b": 2})
				w.deploy("calm", zoned("calm", 1, "a"))
				w.want(time.Minute, "calm", "calm-web", map[string]uint32{"a": 1})
				before := len(w.sim.Commands())
				if err := w.js.DeleteStream(t.Context(), stream); err != nil {
					t.Fatal(err)
				}
				// What happens while it is gone.
				if err := h.RemoveComponent("shop-web"); err != nil {
					t.Fatal(err)
				}
				w.within(time.Minute, "stream "+stream, func() error {
					_, err := w.js.Stream(t.Context(), stream)
					return err
				})
				w.want(5*time.Minute, "shop", "shop-web", map[string]uint32{"a": 2, "b": 2})
				w.status(time.Minute, "calm", tenancy.StatusDeployed)
				if n := len(w.sim.Commands()) - before; n != 1 {
					t.Errorf("%d commands, want one for what was removed", n)
				}
				// And what happens afterwards.
				if err := h.RemoveComponent("shop-web"); err != nil {
					t.Fatal(err)
				}
				w.want(time.Minute, "shop", "shop-web", map[string]uint32{"a": 2, "b": 2})
				w.deploy("more", zoned("more", 1, "a", "b"))
				w.want(time.Minute, "more", "more-web", map[string]uint32{"a": 1, "b": 1})
				if err := w.client.Undeploy(t.Context(), "shop"); err != nil {
					t.Fatal(err)
				}
				w.status(time.Minute, "shop", tenancy.StatusUndeployed)
				// A lattice that was not there before.
				other, err := simhost.New(w.nc, "other", simhost.Config{RequireEpoch: true})
				if err != nil {
					t.Fatal(err)
				}
				defer other.Close()
				if _, err := other.AddHost(simhost.HostConfig{}); err != nil {
					t.Fatal(err)
				}
				c, err := api.NewClient(w.nc, api.ClientConfig{Lattice: "other"})
				if err != nil {
					t.Fatal(err)
				}
				if _, err := c.Put(t.Context(), []byte(hello), ""); err != nil {
					t.Fatal(err)
				}
				if _, err := c.Deploy(t.Context(), "hello", nil); err != nil {
					t.Fatal(err)
				}
				w.within(time.Minute, "application of another lattice", func() error {
					if len(other.Instances("hello-web")) != 1 {
						return fmt.Errorf("%v", other.Instances("hello-web"))
					}
					return nil
				})
				// Another instance finds everything it needs, and can take over.
				_, downToo := w.up("two")
				defer downToo()
				time.Sleep(30 * time.Second) // of the bubble: it comes in step by step
				down()
				for id := range w.sim.Instances("more-web") {
					if err := w.sim.Host(id).RemoveComponent("more-web"); err != nil {
						t.Fatal(err)
					}
				}
				w.want(time.Minute, "more", "more-web", map[string]uint32{"a": 1, "b": 1})
				w.spotless()
			})
		})
	}
}

// TestTenMinutesWithoutAnyInstance: every instance is down, some after an orderly
// stop and some after a crash. Hosts come, go, are labelled anew and lose work, and
// the catalog changes. Whoever starts then finds out about all of it.
func TestTenMinutesWithoutAnyInstance(t *testing.T) {
	t.Parallel()
	for _, end := range []string{"stopped", "crashed"} {
		t.Run(end, func(t *testing.T) {
			t.Parallel()
			inBubble(t, simhost.Config{RequireEpoch: true}, func(w *world) {
				t := w.t
				ctx := t.Context()
				goes, relabelled, robbed := w.host("a"), w.host("b"), w.host("c")
				w.host("a")
				one, downOne := w.up("one")
				two, downTwo := w.up("two")
				w.deploy("shop", zoned("shop", 2, "a", "b", "c"))
				w.deploy("gone", zoned("gone", 1, "a", "b"))
				w.deploy("new", zoned("new", 1, "c"))
				w.deploy("hello", hello)
				w.want(time.Minute, "shop", "shop-web", map[string]uint32{"a": 2, "b": 2, "c": 2})
				w.want(time.Minute, "gone", "gone-web", map[string]uint32{"a": 1, "b": 1})
				w.want(time.Minute, "new", "new-web", map[string]uint32{"c": 1})
				w.status(time.Minute, "hello", tenancy.StatusDeployed)
				if end == "crashed" {
					one.crash()
					two.crash()
				}
				downOne()
				downTwo()

				time.Sleep(2 * time.Minute)
				if err := goes.Kill(); err != nil {
					t.Fatal(err)
				}
				if err := relabelled.Relabel(map[string]string{"zone": "c"}); err != nil {
					t.Fatal(err)
				}
				if err := robbed.RemoveComponent("shop-web"); err != nil {
					t.Fatal(err)
				}
				w.host("b")
				brief := w.host("a")
				if err := brief.Stop(); err != nil {
					t.Fatal(err)
				}
				c, err := catalog.New(ctx, w.js, catalog.Config{})
				if err != nil {
					t.Fatal(err)
				}
				key := tenancy.LatticeKey{Tenant: tenancy.DefaultTenant, Lattice: "default"}
				if _, err := c.Undeploy(ctx, key, "gone", ""); err != nil {
					t.Fatal(err)
				}
				m, err := manifest.Parse([]byte(zoned("new", 3, "c")), "", false, manifest.Budget{})
				if err != nil {
					t.Fatal(err)
				}
				if _, err := c.Put(ctx, key, m, ""); err != nil {
					t.Fatal(err)
				}
				if _, err := c.Deploy(ctx, key, "new", nil, "", nil); err != nil {
					t.Fatal(err)
				}
				time.Sleep(8 * time.Minute)

				before := len(w.sim.Commands())
				_, down := w.up("three")
				defer down()
				w.want(time.Minute, "shop", "shop-web", map[string]uint32{"a": 2, "b": 2, "c": 2})
				w.want(time.Minute, "new", "new-web", map[string]uint32{"c": 3})
				w.status(time.Minute, "gone", tenancy.StatusUndeployed)
				w.status(time.Minute, "hello", tenancy.StatusDeployed)
				w.within(time.Minute, "what is undeployed is gone", func() error {
					if n := len(w.sim.Instances("gone-web")); n > 0 {
						return fmt.Errorf("%d hosts run it", n)
					}
					return nil
				})
				after := len(w.sim.Commands())
				time.Sleep(10 * time.Minute)
				if n := len(w.sim.Commands()); n != after {
					t.Errorf("%d more commands at rest", n-after)
				}
				for _, c := range w.sim.Commands()[before:] {
					if c.Needless {
						t.Errorf("needless: %s", c.Subject)
					}
				}
				w.spotless()
			})
		})
	}
}

// TestALostCatalogIsNotAnEmptyOne: somebody deletes the bucket of applications.
// Nothing that runs is touched, nobody starts with an empty catalog in its place,
// and when the bucket has been restored all goes on.
func TestALostCatalogIsNotAnEmptyOne(t *testing.T) {
	t.Parallel()
	inBubble(t, simhost.Config{RequireEpoch: true}, func(w *world) {
		t := w.t
		ctx := t.Context()
		h := w.host("a")
		w.host("b")
		s, down := w.up("one")
		defer down()
		w.deploy("shop", zoned("shop", 2, "a", "b"))
		w.want(time.Minute, "shop", "shop-web", map[string]uint32{"a": 2, "b": 2})
		const bucket = "KV_wadm_catalog"
		st, err := w.js.Stream(ctx, bucket)
		if err != nil {
			t.Fatal(err)
		}
		backup := backUp(t, st)
		if err := w.js.DeleteStream(ctx, bucket); err != nil {
			t.Fatal(err)
		}
		before := len(w.sim.Commands())
		w.within(time.Minute, "readiness says so", func() error {
			if err := s.check(ctx); !errors.Is(err, catalog.ErrLost) {
				return fmt.Errorf("ready: %w", err)
			}
			return nil
		})
		if _, err := w.client.Put(ctx, []byte(zoned("more", 1, "a")), ""); err == nil {
			t.Error("an application was stored nowhere")
		}
		time.Sleep(20 * time.Minute)
		if n := len(w.sim.Commands()); n != before {
			t.Errorf("%d commands for want of a catalog", n-before)
		}
		if err := h.RemoveComponent("shop-web"); err != nil {
			t.Fatal(err)
		}
		w.want(time.Minute, "shop", "shop-web", map[string]uint32{"a": 2, "b": 2})
		// A restart must not take the want of a catalog for an empty one.
		if _, err := newServer(ctx, s.deps); !errors.Is(err, catalog.ErrLost) || exitCode(err) != exitInvalid {
			t.Errorf("a start without a catalog: %v", err)
		}
		if _, err := w.js.Stream(ctx, bucket); err == nil {
			t.Error("an empty catalog was made")
		}
		restore(t, w.js, st.CachedInfo().Config, backup)
		w.within(time.Minute, "ready again", func() error { return s.check(ctx) })
		w.deploy("more", zoned("more", 1, "a"))
		w.want(time.Minute, "more", "more-web", map[string]uint32{"a": 1})
		if err := w.client.Undeploy(ctx, "shop"); err != nil {
			t.Fatal(err)
		}
		w.status(time.Minute, "shop", tenancy.StatusUndeployed)
		w.spotless()
	})
}

// backUp reads what is in a stream.
func backUp(t *testing.T, st jetstream.Stream) (all []*jetstream.RawStreamMsg) {
	t.Helper()
	for seq := range st.CachedInfo().State.LastSeq {
		m, err := st.GetMsg(t.Context(), seq+1)
		switch {
		case err == nil:
			all = append(all, m)
		case !errors.Is(err, jetstream.ErrMsgNotFound):
			t.Fatal(err)
		}
	}
	return all
}

func restore(t *testing.T, js jetstream.JetStream, cfg jetstream.StreamConfig, all []*jetstream.RawStreamMsg) {
	t.Helper()
	if _, err := js.CreateStream(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	for _, m := range all {
		if _, err := js.PublishMsg(t.Context(), &nats.Msg{Subject: m.Subject, Data: m.Data}); err != nil {
			t.Fatal(err)
		}
	}
}

// fill takes all the room JetStream has; the returned function gives it back.
func (w *world) fill() (empty func()) {
	w.t.Helper()
	ctx := w.t.Context()
	st, err := w.js.CreateStream(ctx, jetstream.StreamConfig{Name: "FILLER", Subjects: []string{"filler"}, Storage: jetstream.MemoryStorage})
	if err != nil {
		w.t.Fatal(err)
	}
	for {
		if _, err := w.js.Publish(ctx, "filler", make([]byte, 700<<10), jetstream.WithRetryAttempts(0)); err != nil {
			w.t.Logf("full: %v", err)
			break
		}
	}
	return func() {
		if err := st.Purge(ctx); err != nil {
			w.t.Fatal(err)
		}
	}
}

// TestAFullStoreIsSaidAndSurvived: JetStream has no room, for a quarter of an hour.
// What cannot be stored is not done and not acknowledged, readiness and log say
// why, nothing ends, and when there is room again everything is caught up with.
func TestAFullStoreIsSaidAndSurvived(t *testing.T) {
	t.Parallel()
	inBubble(t, simhost.Config{RequireEpoch: true}, func(w *world) {
		t := w.t
		ctx := t.Context()
		h := w.host("a")
		gone := w.host("b")
		w.host("b")
		var log lockedBuffer
		w.log = slog.New(slog.NewTextHandler(&log, nil))
		s, down := w.up("one")
		defer down()
		w.deploy("shop", zoned("shop", 2, "a", "b"))
		w.want(time.Minute, "shop", "shop-web", map[string]uint32{"a": 2, "b": 2})
		if err := s.check(ctx); err != nil {
			t.Errorf("before: not ready: %v", err)
		}

		empty := w.fill()
		before := len(w.sim.Commands())
		if err := h.RemoveComponent("shop-web"); err != nil {
			t.Fatal(err)
		}
		if err := gone.Kill(); err != nil {
			t.Fatal(err)
		}
		if _, err := w.client.Put(ctx, []byte(zoned("more", 1, "a")), ""); err == nil {
			t.Error("an application was stored where there is no room")
		}
		defer func() {
			if t.Failed() {
				t.Logf("%s", log.String())
			}
		}()
		w.within(5*time.Minute, "readiness says so", func() error {
			if err := s.check(ctx); err == nil || !strings.Contains(err.Error(), "insufficient resources") {
				return fmt.Errorf("ready: %w", err)
			}
			return nil
		})
		time.Sleep(15 * time.Minute)
		if n := len(w.sim.Commands()); n != before {
			t.Errorf("%d commands that are stored nowhere", n-before)
		}
		if !strings.Contains(log.String(), "insufficient resources") {
			t.Error("the log says nothing of it")
		}
		if n := strings.Count(log.String(), "\n"); n > 2000 {
			t.Errorf("the log has %d lines", n)
		}

		empty()
		w.want(5*time.Minute, "shop", "shop-web", map[string]uint32{"a": 2, "b": 2})
		w.within(time.Minute, "ready again", func() error { return s.check(ctx) })
		w.deploy("more", zoned("more", 1, "a"))
		w.want(time.Minute, "more", "more-web", map[string]uint32{"a": 1})
		w.spotless()
	}, natstest.WithMaxMemory(8<<20))
}
