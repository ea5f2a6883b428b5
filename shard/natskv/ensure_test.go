package natskv

import (
	"context"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"wadm/config/natsconn/natstest"
)

// underWayStream answers as a cluster does in which another one's creation of the
// bucket is still under way: what exists by one answer is not found by the next.
type underWayStream struct {
	jetstream.JetStream
	unmade, unseen int
}

func (s *underWayStream) CreateKeyValue(ctx context.Context, cfg jetstream.KeyValueConfig) (jetstream.KeyValue, error) {
	if s.unmade > 0 {
		s.unmade--
		return nil, jetstream.ErrStreamNotFound
	}
	kv, err := s.JetStream.CreateKeyValue(ctx, cfg)
	return &underWayBucket{kv, s}, err
}

func (s *underWayStream) KeyValue(ctx context.Context, bucket string) (jetstream.KeyValue, error) {
	kv, err := s.JetStream.KeyValue(ctx, bucket)
	return &underWayBucket{kv, s}, err
}

type underWayBucket struct {
	jetstream.KeyValue
	of *underWayStream
}

func (b *underWayBucket) Status(ctx context.Context) (jetstream.KeyValueStatus, error) {
	if b.of.unseen > 0 {
		b.of.unseen--
		return nil, jetstream.ErrStreamNotFound
	}
	return b.KeyValue.Status(ctx)
}

func TestABucketThatAnotherInstanceIsMakingIsAwaited(t *testing.T) {
	t.Parallel()
	js, err := jetstream.New(natstest.Start(t).Connect(t))
	if err != nil {
		t.Fatal(err)
	}
	under := &underWayStream{JetStream: js, unmade: 2, unseen: 2}
	kv, err := ensureBucket(t.Context(), under, jetstream.KeyValueConfig{Bucket: "b", History: 1})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := kv.Create(t.Context(), "k", nil); err != nil {
		t.Error(err)
	}
}
