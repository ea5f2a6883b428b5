package natskv

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"wadm/config/natsconn"
	"wadm/shard"
)

// PutMember implements shard.Members.
func (s *Store) PutMember(ctx context.Context, m shard.Member, expect uint64) (uint64, error) {
	body, err := m.Encode()
	if err != nil {
		return 0, err
	}
	rev, err := s.putEntry(ctx, s.members, string(m.ID), body, expect)
	if err != nil {
		return 0, fmt.Errorf("put member %s: %w", m.ID, err)
	}
	return rev, nil
}

// putEntry writes a value on condition of the entry's last revision; 0: there is
// none, or it was removed or has expired.
func (s *Store) putEntry(ctx context.Context, kv jetstream.KeyValue, key string, body []byte, expect uint64) (uint64, error) {
	var rev uint64
	var err error
	if expect == 0 {
		rev, err = kv.Create(ctx, key, body)
	} else {
		rev, err = kv.Update(ctx, key, body, expect)
		if errors.Is(err, jetstream.ErrKeyExists) && !isBusy(err) {
			// A bucket that was deleted and made again has forgotten the entry without a
			// word. Nobody else's can be in its place as long as there is none at all.
			if s.forgotten(ctx, kv, key) {
				rev, err = kv.Create(ctx, key, body)
			}
		}
	}
	switch {
	case err == nil:
		return rev, nil
	case errors.Is(err, jetstream.ErrKeyExists) && !isBusy(err):
		return 0, fmt.Errorf("%w: %w", shard.ErrFenced, err)
	default:
		return 0, writeError(err)
	}
}

// forgotten tells that a bucket has no word of a key, not even that it was removed.
func (s *Store) forgotten(ctx context.Context, kv jetstream.KeyValue, key string) bool {
	st, err := s.js.Stream(ctx, "KV_"+kv.Bucket())
	if err != nil {
		return false
	}
	_, err = st.GetLastMsgForSubject(ctx, "$KV."+kv.Bucket()+"."+key)
	return errors.Is(err, jetstream.ErrMsgNotFound)
}

func isBusy(err error) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) && api.ErrorCode == codeInFlight
}

// DropMember implements shard.Members.
func (s *Store) DropMember(ctx context.Context, id shard.MemberID, expect uint64) error {
	if _, err := shard.ParseMemberID(string(id)); err != nil {
		return fmt.Errorf("drop member: %w", err)
	}
	if err := s.members.Delete(ctx, string(id), jetstream.LastRevision(expect)); err != nil {
		return fmt.Errorf("drop member %s: %w", id, writeError(err))
	}
	return nil
}

// WatchMembers implements shard.Members. Records that cannot be understood are ignored.
func (s *Store) WatchMembers(ctx context.Context, seen func([]shard.MemberChange)) error {
	return watch(ctx, s.js, s.members, false, func(key string, e natsconn.Message) (shard.MemberChange, bool) {
		c := shard.MemberChange{Rev: e.Seq}
		if op := e.Op(); op != jetstream.KeyValuePut {
			// The member itself deletes; expiry shows as a purge.
			c.Member.ID, c.Gone, c.Left = shard.MemberID(key), true, op == jetstream.KeyValueDelete
			return c, true
		}
		m, err := shard.DecodeMember(e.Data)
		if err != nil || string(m.ID) != key {
			return c, false
		}
		c.Member = m
		return c, true
	}, seen)
}

// watch follows a bucket: one call with all there is, then one per change. keys
// leaves the values out.
func watch[T any](ctx context.Context, js jetstream.JetStream, kv jetstream.KeyValue, keys bool, read func(key string, e natsconn.Message) (T, bool), seen func([]T)) error {
	prefix := "$KV." + kv.Bucket() + "."
	return natsconn.Follow(ctx, js, natsconn.Followed{Stream: "KV_" + kv.Bucket(), Subjects: prefix + ">", HeadersOnly: keys}, func(m natsconn.Message) (T, bool) {
		return read(strings.TrimPrefix(m.Subject, prefix), m)
	}, seen)
}
