package catalog_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"wadm/config/natsconn/natstest"
	"wadm/tenancy"
	"wadm/tenancy/catalog"
)

// BenchmarkDeployed reads what is deployed in one lattice among many.
func BenchmarkDeployed(b *testing.B) {
	for _, lattices := range []int{1, 100, 10_000} {
		b.Run(fmt.Sprint(lattices), func(b *testing.B) {
			js := natstest.Start(b).JetStream(b)
			c, err := catalog.New(b.Context(), js, catalog.Config{Storage: jetstream.MemoryStorage})
			if err != nil {
				b.Fatal(err)
			}
			key := func(i int) tenancy.LatticeKey {
				return tenancy.LatticeKey{Tenant: "t", Lattice: tenancy.Lattice(fmt.Sprint("l", i))}
			}
			var wg sync.WaitGroup
			for w := range 16 {
				wg.Go(func() {
					for i := w; i < lattices; i += 16 {
						if _, err := c.Put(b.Context(), key(i), app("shop", "v1"), ""); err != nil {
							b.Error(err)
						}
						if _, err := c.Deploy(b.Context(), key(i), "shop", nil, "", nil); err != nil {
							b.Error(err)
						}
					}
				})
			}
			wg.Wait()
			ctx, cancel := context.WithCancel(b.Context())
			done := make(chan error, 1)
			go func() { done <- c.Run(ctx) }()
			defer func() {
				cancel()
				if err := <-done; err != nil {
					b.Error(err)
				}
			}()
			if _, err := c.Deployed(ctx, key(0)); err != nil {
				b.Fatal(err)
			}
			n := 0
			for b.Loop() {
				d, err := c.Deployed(ctx, key(n%lattices))
				if err != nil || len(d) != 1 {
					b.Fatal(d, err)
				}
				n++
			}
		})
	}
}

// BenchmarkDeploy deploys one application of many lattices again and again.
func BenchmarkDeploy(b *testing.B) {
	js := natstest.Start(b).JetStream(b)
	c, err := catalog.New(b.Context(), js, catalog.Config{})
	if err != nil {
		b.Fatal(err)
	}
	if _, err := c.Put(b.Context(), lattice, app("shop", "v1"), ""); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := c.Deploy(b.Context(), lattice, "shop", nil, "", nil); err != nil {
			b.Fatal(err)
		}
	}
}
