package shardtest_test

import (
	"context"
	"testing"
	"testing/synctest"

	"wadm/shard"
	"wadm/shard/shardtest"
)

func TestTheWorldMeetsTheContract(t *testing.T) {
	t.Parallel()
	shardtest.Contract(t, func(t *testing.T, body func(*testing.T, shard.Ports)) {
		synctest.Test(t, func(t *testing.T) {
			w := shardtest.NewWorld()
			ctx, cancel := context.WithCancel(context.Background())
			done := make(chan struct{})
			go func() { defer close(done); w.Run(ctx) }()
			t.Cleanup(func() { cancel(); <-done })
			body(t, w.Link().Ports())
		})
	})
}
