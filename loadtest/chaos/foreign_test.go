//go:build chaos

package chaos_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"wadm/config/natsconn/natstest"
	"wadm/loadtest/process"
	"wadm/shard/ring"
	"wadm/tenancy"
	"wadm/tenancy/api"
)

// anotherRing builds a server whose ring has other parameters.
func anotherRing(t *testing.T) string {
	t.Helper()
	now := fmt.Sprintf("Replicas: %d,", ring.DefaultParams().Replicas)
	return mutant(t, edit{"shard/ring/ring.go", now, "Replicas: 7,"})
}

// TestABuildWithAnotherRingOwnsNothingAndSaysSo runs a real process whose ring has
// other parameters beside one that has lattices already.
func TestABuildWithAnotherRingOwnsNothingAndSaysSo(t *testing.T) {
	runsServers(t)
	t.Parallel()
	odd := anotherRing(t)
	s := natstest.Start(t)
	start := func(id, binary string) string {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		addr := l.Addr().String()
		_ = l.Close()
		p, err := process.Start(process.Command{Path: binary, Args: []string{"-s", s.URL(), "--instance-id", id, "--http-admin", addr}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			p.Kill()
			if t.Failed() {
				t.Logf("%s wrote:\n%s", id, p.Output())
			}
		})
		return "http://" + addr
	}
	eventually := func(what string, ok func() error) {
		t.Helper()
		var err error
		for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
			if err = ok(); err == nil {
				return
			}
		}
		t.Fatalf("%s: %v", what, err)
	}
	get := func(url string) (int, string, error) {
		res, err := http.Get(url)
		if err != nil {
			return 0, "", err
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		return res.StatusCode, string(body), err
	}
	// page is what an instance says of itself.
	type page struct {
		Ready    bool
		Reason   string
		Lattices struct{ Active int }
	}
	look := func(url string) (p page, err error) {
		_, body, err := get(url + "/ring")
		if err != nil {
			return p, err
		}
		return p, json.Unmarshal([]byte(body), &p)
	}
	register := func(n int) {
		for i := range n {
			c, err := api.NewClient(s.Connect(t), api.ClientConfig{Lattice: tenancy.Lattice(fmt.Sprintf("l%d-%d", n, i))})
			if err != nil {
				t.Fatal(err)
			}
			eventually("put", func() error {
				_, err := c.Put(t.Context(), []byte(smallManifest), "application/yaml")
				if errors.Is(err, api.ErrInvalid) {
					t.Fatal(err)
				}
				return err
			})
		}
	}
	one := start("one", binary)
	register(10)
	holds := func(n int) func() error {
		return func() error {
			p, err := look(one)
			if err == nil && (!p.Ready || p.Lattices.Active != n) {
				err = fmt.Errorf("%+v, want %d active lattices", p, n)
			}
			return err
		}
	}
	eventually("the first instance owns all", holds(10))

	other := start("odd", odd)
	eventually("the other says why it is not ready", func() error {
		code, body, err := get(other + "/readyz")
		if err == nil && (code != http.StatusServiceUnavailable || !strings.Contains(body, "ring fingerprint")) {
			err = fmt.Errorf("%d %s", code, body)
		}
		return err
	})
	register(5)
	eventually("the first instance carries on", holds(15))
	if p, err := look(other); err != nil || p.Ready || p.Lattices.Active != 0 || p.Reason == "" {
		t.Errorf("the other: %+v, %v", p, err)
	}
}

const smallManifest = `apiVersion: core.oam.dev/v1beta1
kind: Application
metadata: {name: small, annotations: {version: v1}}
spec:
  components:
    - {name: c, type: component, properties: {image: "registry.example.com/c:1"}}
`
