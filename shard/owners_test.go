package shard_test

import (
	"context"
	"maps"
	"sync"

	"wadm/shard"
)

// owners records what own was called for.
type owners struct {
	mu     sync.Mutex
	active map[shard.Key]shard.Claim
	ended  map[shard.Key][]error
	twice  []shard.Key
	stuck  map[shard.Key]chan struct{}
}

// stick has the owner of k not stop before ch is closed.
func (o *owners) stick(k shard.Key, ch chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.stuck[k] = ch
}

func newOwners() *owners {
	return &owners{active: map[shard.Key]shard.Claim{}, ended: map[shard.Key][]error{}, stuck: map[shard.Key]chan struct{}{}}
}

func (o *owners) own(ctx context.Context, c shard.Claim) error {
	o.mu.Lock()
	if _, ok := o.active[c.Key]; ok {
		o.twice = append(o.twice, c.Key)
	}
	o.active[c.Key] = c
	o.mu.Unlock()
	c.Recovered()
	<-ctx.Done()
	o.mu.Lock()
	ch := o.stuck[c.Key]
	o.mu.Unlock()
	if ch != nil {
		<-ch
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.active, c.Key)
	o.ended[c.Key] = append(o.ended[c.Key], context.Cause(ctx))
	return context.Cause(ctx)
}

func (o *owners) held() map[shard.Key]shard.Claim {
	o.mu.Lock()
	defer o.mu.Unlock()
	m := map[shard.Key]shard.Claim{}
	maps.Copy(m, o.active)
	return m
}
