package api_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	"wadm/config/natsconn/natstest"
	"wadm/tenancy"
	"wadm/tenancy/api"
)

func client(t *testing.T, nc *nats.Conn, cfg api.ClientConfig) *api.Client {
	t.Helper()
	c, err := api.NewClient(nc, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestTheClientDoesWhatTheAPICan(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]api.ClientConfig{"single": {Lattice: "prod"}, "multi": {Lattice: "prod", Tenant: "acme"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, natstest.Start(t), api.Deps{}, api.Config{Multitenant: cfg.Tenant != ""})
			c := client(t, s.nc, cfg)
			ctx := t.Context()
			if got, err := c.List(ctx); err != nil || len(got) != 0 {
				t.Errorf("empty list: %v, %v", got, err)
			}
			put, err := c.Put(ctx, []byte(manifestOf("shop", "v1")), "application/json")
			if err != nil || put.Name != "shop" || put.Version != "v1" || put.Total != 1 {
				t.Errorf("put: %+v, %v", put, err)
			}
			if _, err := c.Put(ctx, []byte(manifestOf("shop", "v1")), ""); !errors.Is(err, api.ErrExists) {
				t.Errorf("put again: %v", err)
			}
			if _, err := c.Put(ctx, []byte(manifestOf("shop", "v2")), "text/plain"); !errors.Is(err, api.ErrInvalid) {
				t.Errorf("put of a foreign type: %v", err)
			}
			generated, err := c.Put(ctx, []byte(manifestOf("shop", "")), "application/yaml")
			if err != nil || len(generated.Version) != 26 {
				t.Errorf("put without version: %+v, %v", generated, err)
			}
			v1 := "v1"
			if got, err := c.Deploy(ctx, "shop", &v1); err != nil || got != "v1" {
				t.Errorf("deploy: %s, %v", got, err)
			}
			m, err := c.Get(ctx, "shop", nil)
			if err != nil {
				t.Fatal(err)
			}
			if v, _ := m.Version(); v != generated.Version {
				t.Errorf("get: %s", v)
			}
			got, err := c.Versions(ctx, "shop")
			if diff := cmp.Diff([]api.VersionInfo{{Version: "v1", Deployed: true}, {Version: generated.Version}}, got); diff != "" || err != nil {
				t.Error(diff, err)
			}
			list, err := c.List(ctx)
			if err != nil || len(list) != 1 || *list[0].DeployedVersion != "v1" || list[0].Status != tenancy.StatusUndeployed {
				t.Errorf("list: %+v, %v", list, err)
			}
			if st, err := c.Status(ctx, "shop"); err != nil || st.Status.Type != tenancy.StatusUndeployed {
				t.Errorf("status: %+v, %v", st, err)
			}
			if err := c.Undeploy(ctx, "shop"); err != nil {
				t.Errorf("undeploy: %v", err)
			}
			if del, err := c.Delete(ctx, "shop", nil); err != nil || !del.Existed || !del.Undeployed {
				t.Errorf("delete: %+v, %v", del, err)
			}
			if del, err := c.Delete(ctx, "shop", nil); err != nil || del.Existed {
				t.Errorf("delete again: %+v, %v", del, err)
			}
		})
	}
}

func TestTheClientsErrorsTellWhatToDo(t *testing.T) {
	t.Parallel()
	n := natstest.Start(t)
	nobody := client(t, n.Connect(t), api.ClientConfig{})
	if _, err := nobody.List(t.Context()); !errors.Is(err, api.ErrNoServer) {
		t.Errorf("without a server: %v", err)
	}
	s := serve(t, n, api.Deps{Register: func(ctx context.Context, key tenancy.LatticeKey) error {
		if key.Lattice == "slow" {
			<-ctx.Done()
		}
		return errors.New("no registry")
	}}, api.Config{RequestTimeout: 2 * time.Second})
	c := client(t, s.nc, api.ClientConfig{})
	v := "v9"
	_, getErr := c.Get(t.Context(), "nope", nil)
	_, deployErr := c.Deploy(t.Context(), "nope", &v)
	_, versionsErr := c.Versions(t.Context(), "nope")
	for what, err := range map[string]error{"get": getErr, "deploy": deployErr, "versions": versionsErr, "undeploy": c.Undeploy(t.Context(), "nope")} {
		var said *api.RefusedError
		if !errors.Is(err, api.ErrNotFound) || !errors.As(err, &said) || said.Message != "Application with the name nope not found" {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := c.Put(t.Context(), []byte(manifestOf("shop", "v1")), ""); !errors.Is(err, api.ErrServer) {
		t.Errorf("put without a registry: %v", err)
	}
	if err := c.Undeploy(t.Context(), "a.b"); !errors.Is(err, api.ErrInvalid) || !errors.Is(err, tenancy.ErrBadName) {
		t.Errorf("a name with a dot: %v", err)
	}
	slow := client(t, s.nc, api.ClientConfig{Lattice: "slow", Timeout: 50 * time.Millisecond})
	if _, err := slow.Put(t.Context(), []byte(manifestOf("shop", "v1")), ""); !errors.Is(err, api.ErrTimeout) {
		t.Errorf("a slow server: %v", err)
	}
	for _, bad := range []api.ClientConfig{{Lattice: "a.b"}, {Tenant: "*"}} {
		if _, err := api.NewClient(s.nc, bad); !errors.Is(err, tenancy.ErrBadName) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}

func TestWatchingAStatusMissesNothing(t *testing.T) {
	t.Parallel()
	s := serve(t, natstest.Start(t), api.Deps{}, api.Config{})
	c := client(t, s.nc, api.ClientConfig{})
	ctx, cancel := context.WithCancel(t.Context())
	var mu sync.Mutex
	var seen []string
	done := make(chan error, 1)
	go func() {
		done <- c.WatchStatus(ctx, "shop", func(st tenancy.Status) {
			mu.Lock()
			defer mu.Unlock()
			seen = append(seen, string(st.Status.Type))
		})
	}()
	count := func() int {
		mu.Lock()
		defer mu.Unlock()
		return len(seen)
	}
	eventually(t, "the current status", func() bool { return count() == 1 })
	for i, body := range []string{`{"status":{"type":"reconciling"}}`, `{`, `{"status":{"type":"deployed"}}`} {
		if _, err := s.js.Publish(t.Context(), "wadm.status.default.shop", []byte(body)); err != nil {
			t.Fatal(err)
		}
		if i != 1 {
			eventually(t, "the published status", func() bool { return count() == 2+i/2 })
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if got := strings.Join(seen, " "); got != "undeployed reconciling deployed" {
		t.Error(got)
	}
}
