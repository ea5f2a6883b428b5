package catalog_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"

	"wadm/config/natsconn/natstest"
	"wadm/tenancy/catalog"
	"wadm/tenancy/manifest"
)

// shopHead is the stored head of the application shop.
func shopHead(t *testing.T, kv jetstream.KeyValue) string {
	t.Helper()
	e, err := kv.Get(t.Context(), "default.prod.shop")
	if err != nil {
		t.Fatal(err)
	}
	return string(e.Value())
}

// deployIf deploys a version; once it is stored, again says whether it may stay.
func deployIf(t *testing.T, c *catalog.Catalog, name, version string, again func() error) error {
	t.Helper()
	asked := 0
	_, err := c.Deploy(t.Context(), lattice, name, &version, "", func(context.Context, *manifest.Manifest) error {
		if asked++; asked == 1 {
			return nil
		}
		return again()
	})
	return err
}

func TestADeployRefusedAfterTheWriteIsWithdrawn(t *testing.T) {
	t.Parallel()
	c := open(t, natstest.Start(t).JetStream(t), catalog.Config{})
	errRefused := errors.New("refused")
	// refusedAfter deploys v2 and refuses it once it is stored and between was called.
	refusedAfter := func(name string, between func()) {
		t.Helper()
		again := 0
		err := deployIf(t, c, name, "v2", func() error {
			again++
			if a, err := c.Application(t.Context(), lattice, name); err != nil || a.Deployed == nil || *a.Deployed != "v2" {
				t.Errorf("%s when asked again: %+v, %v", name, a, err)
			}
			between()
			return errRefused
		})
		if !errors.Is(err, errRefused) || again != 1 {
			t.Errorf("%s: %v, asked again %d times", name, err, again)
		}
	}
	for name, tt := range map[string]struct {
		before  *string
		between func(name string)
		want    *string
	}{
		"first":       {},
		"upgrade":     {before: new("v1"), want: new("v1")},
		"again":       {before: new("v2"), want: new("v2")},
		"deployed":    {before: new("v1"), between: func(name string) { deploy(t, c, name, new("v3")) }, want: new("v3")},
		"repeated":    {before: new("v1"), between: func(name string) { deploy(t, c, name, new("v2")) }, want: new("v2")},
		"put":         {before: new("v1"), between: func(name string) { put(t, c, app(name, "v4")) }, want: new("v1")},
		"undeployed":  {before: new("v1"), between: func(name string) { _, _ = c.Undeploy(t.Context(), lattice, name, "") }},
		"old deleted": {before: new("v1"), between: func(name string) { _, _ = c.Delete(t.Context(), lattice, name, new("v1"), "") }},
		"old put anew": {before: new("v1"), between: func(name string) {
			_, _ = c.Delete(t.Context(), lattice, name, new("v1"), "")
			put(t, c, app(name, "v1"))
		}},
		"created anew": {between: func(name string) {
			_, _ = c.Delete(t.Context(), lattice, name, nil, "")
			put(t, c, app(name, "v2"))
			deploy(t, c, name, nil)
		}, want: new("v2")},
	} {
		name = strings.ReplaceAll(name, " ", "-")
		for _, v := range []string{"v1", "v2", "v3"} {
			put(t, c, app(name, v))
		}
		if tt.before != nil {
			deploy(t, c, name, tt.before)
		}
		refusedAfter(name, func() {
			if tt.between != nil {
				tt.between(name)
			}
		})
		a, err := c.Application(t.Context(), lattice, name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(tt.want, a.Deployed); diff != "" {
			t.Errorf("%s: deployed: %s", name, diff)
		}
	}
}

// asking is a deploy that is stored and asks once more whether it is allowed.
type asking struct {
	version string
	verdict chan<- error
	done    <-chan error
}

// ask deploys a version and returns when it is stored.
func ask(t *testing.T, c *catalog.Catalog, name, version string) asking {
	t.Helper()
	again, verdict, done := make(chan struct{}), make(chan error), make(chan error, 1)
	go func() {
		done <- deployIf(t, c, name, version, func() error {
			close(again)
			return <-verdict
		})
	}()
	select {
	case <-again:
	case err := <-done:
		t.Fatalf("deploy of %s %s: %v", name, version, err)
	}
	return asking{version, verdict, done}
}

func (a asking) answer(t *testing.T, verdict error) {
	t.Helper()
	a.verdict <- verdict
	if err := <-a.done; !errors.Is(err, verdict) {
		t.Errorf("deploy of %s: %v instead of %v", a.version, err, verdict)
	}
}

func wantDeployed(t *testing.T, c *catalog.Catalog, name string, want *string) {
	t.Helper()
	a, err := c.Application(t.Context(), lattice, name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, a.Deployed); diff != "" {
		t.Errorf("%s: deployed: %s", name, diff)
	}
}

// TestOverlappingDeploysThatAreRefusedLeaveNoTrace overlaps three deploys of one
// application and answers them in every order and in every way.
func TestOverlappingDeploysThatAreRefusedLeaveNoTrace(t *testing.T) {
	t.Parallel()
	c := open(t, natstest.Start(t).JetStream(t), catalog.Config{})
	errRefused := errors.New("refused")
	for _, first := range []*string{nil, new("v1")} {
		for _, order := range [][3]int{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}} {
			for verdicts := range 8 {
				name := fmt.Sprintf("after-%t-%d%d%d-%03b", first != nil, order[0], order[1], order[2], verdicts)
				for _, v := range []string{"v1", "v2", "v3"} {
					put(t, c, app(name, v))
				}
				if first != nil {
					deploy(t, c, name, first)
				}
				// The third repeats the first.
				deploys := []asking{ask(t, c, name, "v2"), ask(t, c, name, "v3"), ask(t, c, name, "v2")}
				var gone [3]bool
				for _, i := range order {
					if gone[i] = verdicts&(1<<i) != 0; gone[i] {
						deploys[i].answer(t, errRefused)
					} else {
						deploys[i].answer(t, nil)
					}
					want := first
					for j, d := range deploys {
						if !gone[j] {
							want = &d.version
						}
					}
					wantDeployed(t, c, name, want)
				}
			}
		}
	}
}

func TestARefusedDeployRestoresNothingFromBeforeAnUndeploy(t *testing.T) {
	t.Parallel()
	c := open(t, natstest.Start(t).JetStream(t), catalog.Config{})
	for name, undeploy := range map[string]func(name string) error{
		"undeployed": func(name string) error {
			_, err := c.Undeploy(t.Context(), lattice, name, "")
			return err
		},
		"deleted": func(name string) error {
			_, err := c.Delete(t.Context(), lattice, name, new("v2"), "")
			return err
		},
	} {
		for _, v := range []string{"v1", "v2", "v3"} {
			put(t, c, app(name, v))
		}
		deploy(t, c, name, new("v1"))
		before := ask(t, c, name, "v2")
		if err := undeploy(name); err != nil {
			t.Fatal(err)
		}
		after := ask(t, c, name, "v3")
		errRefused := errors.New("refused")
		before.answer(t, errRefused)
		wantDeployed(t, c, name, new("v3"))
		after.answer(t, errRefused)
		wantDeployed(t, c, name, nil)
	}
}

func TestADeployIsWithdrawnInAHeadOfManyDeploys(t *testing.T) {
	t.Parallel()
	c, kv := openBucket(t, natstest.Start(t).JetStream(t))
	for _, v := range []string{"v1", "v2"} {
		put(t, c, app("shop", v))
	}
	for range 50 {
		deploy(t, c, "shop", new("v1"))
	}
	ask(t, c, "shop", "v2").answer(t, errors.New("refused"))
	wantDeployed(t, c, "shop", new("v1"))
	deploy(t, c, "shop", new("v2"))
	if n := strings.Count(shopHead(t, kv), `"by":`); n != 32 {
		t.Errorf("the head remembers %d replaced versions", n)
	}
}

// TestADeployIsWithdrawnInAnEarlierHead: what an earlier server stored says nothing
// of replaced versions.
func TestADeployIsWithdrawnInAnEarlierHead(t *testing.T) {
	t.Parallel()
	c, kv := openBucket(t, natstest.Start(t).JetStream(t))
	put(t, c, app("shop", "v1"))
	earlier := strings.Replace(shopHead(t, kv), `"deployed":null,"deploys":0`, `"deployed":"v1","deploys":1`, 1)
	if _, err := kv.PutString(t.Context(), "default.prod.shop", earlier); err != nil {
		t.Fatal(err)
	}
	put(t, c, app("shop", "v2"))
	wantDeployed(t, c, "shop", new("v1"))
	ask(t, c, "shop", "v2").answer(t, errors.New("refused"))
	wantDeployed(t, c, "shop", new("v1"))
}

// TestARefusedDeployThatAnEarlierServerForgotIsNoRefusal: it dropped the list of what
// was replaced, so that the version stays and the client must not be told otherwise.
func TestARefusedDeployThatAnEarlierServerForgotIsNoRefusal(t *testing.T) {
	t.Parallel()
	c, kv := openBucket(t, natstest.Start(t).JetStream(t))
	put(t, c, app("shop", "v1"))
	err := deployIf(t, c, "shop", "v1", func() error {
		before, _, _ := strings.Cut(shopHead(t, kv), `,"replaced":`)
		if _, err := kv.PutString(t.Context(), "default.prod.shop", before+"}"); err != nil {
			return err
		}
		return errors.New("refused")
	})
	if err == nil || !strings.Contains(err.Error(), "withdraw shop") || !strings.Contains(err.Error(), "refused") {
		t.Errorf("got %v, want that it could not be withdrawn", err)
	}
	wantDeployed(t, c, "shop", new("v1"))
}
