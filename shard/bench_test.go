package shard_test

import (
	"fmt"
	"testing"
	"time"

	"wadm/shard"
)

// settled makes Holdings that own n keys and are at rest.
func settled(n int) (*shard.Holdings, time.Time) {
	now := time.Unix(1000, 0)
	h := one(shard.HoldingsConfig{Parallel: n, Rate: 1e9}, shard.Standing{}, manyKeys(n)...)
	h.Heads(now, nil, true)
	seq := uint64(0)
	for range 4 {
		acts, _ := h.Step(now)
		for _, a := range acts {
			if a.Kind == shard.DoAcquire {
				seq++
				h.Claimed(now, a.Key, a, seq, nil, shard.Head{})
			}
		}
	}
	return h, now
}

// BenchmarkPass is the full want-and-have comparison of an instance at rest.
func BenchmarkPass(b *testing.B) {
	for _, n := range []int{1, 100, 10000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			h, now := settled(n)
			b.ReportAllocs()
			for b.Loop() {
				h.Reconsider()
				if acts, _ := h.Step(now); len(acts) > 0 {
					b.Fatal("not at rest")
				}
			}
		})
	}
}

// BenchmarkHead is one head that concerns another instance's key, beside many own ones.
func BenchmarkHead(b *testing.B) {
	for _, n := range []int{1, 100, 10000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			h, now := settled(n)
			seq := uint64(1 << 40)
			b.ReportAllocs()
			for b.Loop() {
				seq++
				h.Heads(now, []shard.Head{foreign("t.other", seq, shard.Held, 0)}, false)
				h.Step(now)
			}
		})
	}
}
