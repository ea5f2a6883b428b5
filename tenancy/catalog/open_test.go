package catalog_test

import (
	"context"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"wadm/config/natsconn/natstest"
	"wadm/tenancy/catalog"
)

// underWay answers as a cluster does in which another one's creation of the bucket
// is still under way: what exists by one answer is not found by the next.
type underWay struct {
	jetstream.JetStream
	unmade, unseen int
}

func (s *underWay) CreateKeyValue(ctx context.Context, cfg jetstream.KeyValueConfig) (jetstream.KeyValue, error) {
	if s.unmade > 0 {
		s.unmade--
		return nil, jetstream.ErrStreamNotFound
	}
	return s.JetStream.CreateKeyValue(ctx, cfg)
}

func (s *underWay) Stream(ctx context.Context, name string) (jetstream.Stream, error) {
	if s.unseen > 0 {
		s.unseen--
		return nil, jetstream.ErrStreamNotFound
	}
	return s.JetStream.Stream(ctx, name)
}

func TestABucketThatAnotherInstanceIsMakingIsAwaited(t *testing.T) {
	t.Parallel()
	for name, faults := range map[string]underWay{
		"not found while it is made": {unmade: 2},
		"not found afterwards":       {unseen: 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			faults.JetStream = natstest.Start(t).JetStream(t)
			if _, err := catalog.New(t.Context(), &faults, catalog.Config{}); err != nil {
				t.Fatal(err)
			}
		})
	}
}
