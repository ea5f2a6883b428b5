package natskv

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Subject roots of the ledger. A key follows the dot.
const (
	// ClaimSubject holds claims, one live record per key.
	ClaimSubject = "wadm.own"
	// CommandSubject holds what owners are about to ask of hosts.
	CommandSubject = "wadm.cmd"
	// StateSubject holds owners' state, one live record per key.
	StateSubject = "wadm.state"
)

const (
	maxLedgerMessage = 8 << 20
	// maxLedgerConsumers: every instance follows the claims with one, tools and
	// checkers read with more. 0 and -1 would mean the server's 1,000.
	maxLedgerConsumers = 4096
)

// LedgerConfig is the ledger's one definition: whoever starts first creates the
// same stream. Claims and commands share it, because an owner's write is
// conditional on its claim and a condition cannot reach across streams.
//
//   - Discard new and no age limit: a claim must never be evicted, a full ledger
//     refuses instead.
//   - No direct access: reads go through the stream's current server.
//   - Subjects of exactly two tokens more: wadm 0.21 has a stream on wadm.cmd.*,
//     and streams whose subjects overlap can't live side by side.
//   - Per-message TTL for commands and for releases of keys that are gone.
//   - Rollup, so that a claim and a state replace their predecessors.
func LedgerConfig(name string, replicas int, storage jetstream.StorageType) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:         name,
		Description:  "claims, commands and state of lattices; conditional writes only",
		Subjects:     []string{ClaimSubject + ".*.*", CommandSubject + ".*.*", StateSubject + ".*.*"},
		Retention:    jetstream.LimitsPolicy,
		Discard:      jetstream.DiscardNew,
		Storage:      storage,
		Replicas:     replicas,
		MaxBytes:     -1,
		MaxMsgs:      -1,
		MaxMsgSize:   maxLedgerMessage,
		MaxConsumers: maxLedgerConsumers,
		Duplicates:   2 * time.Minute,
		AllowRollup:  true,
		AllowMsgTTL:  true,
	}
}

// EnsureStream creates the stream or binds to it. When it exists with other
// settings the error wraps ErrDiffers and names each one; nothing is changed.
func EnsureStream(ctx context.Context, js jetstream.JetStream, want jetstream.StreamConfig) (jetstream.Stream, error) {
	for {
		st, err := js.Stream(ctx, want.Name)
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			st, err = js.CreateStream(ctx, want)
			if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
				continue // somebody with other settings was faster: look at them
			}
		}
		if err != nil {
			return nil, fmt.Errorf("ensure stream %s: %w", want.Name, err)
		}
		if d := streamDiff(st.CachedInfo().Config, want); len(d) > 0 {
			return nil, fmt.Errorf("stream %s: %w: %s (change it with `nats stream edit`, or remove it if it is not ours)",
				want.Name, ErrDiffers, strings.Join(d, "; "))
		}
		return st, nil
	}
}

// streamDiff names the settings on which what we promise rests and that are not
// as wanted. Copies, storage, size and the like are the operator's to choose.
func streamDiff(have, want jetstream.StreamConfig) []string {
	var d []string
	diff := func(what string, have, want any) {
		if fmt.Sprint(have) != fmt.Sprint(want) {
			d = append(d, fmt.Sprintf("%s is %v, want %v", what, have, want))
		}
	}
	hs, ws := slices.Sorted(slices.Values(have.Subjects)), slices.Sorted(slices.Values(want.Subjects))
	diff("subjects", hs, ws)
	diff("retention", have.Retention, want.Retention)
	diff("discard", have.Discard, want.Discard)
	diff("max age", have.MaxAge, want.MaxAge)
	diff("max messages", noLimit(have.MaxMsgs), noLimit(want.MaxMsgs))
	diff("max messages per subject", noLimit(have.MaxMsgsPerSubject), noLimit(want.MaxMsgsPerSubject))
	diff("rollup allowed", have.AllowRollup, want.AllowRollup)
	diff("per-message TTL allowed", have.AllowMsgTTL, want.AllowMsgTTL)
	diff("direct access allowed", have.AllowDirect, want.AllowDirect)
	diff("acknowledgement off", have.NoAck, want.NoAck)
	diff("sealed", have.Sealed, want.Sealed)
	return d
}

func noLimit(n int64) int64 {
	if n <= 0 {
		return -1
	}
	return n
}

// Of several instances that make a bucket at once, a server of a cluster tells one
// that the bucket exists and, asked for it, that it does not: another server is still
// making it. That is over within underWay; lookAgain is the pause between two looks.
const (
	underWay  = 10 * time.Second
	lookAgain = 50 * time.Millisecond
)

// ensureBucket creates the bucket or binds to it, as EnsureStream does.
func ensureBucket(ctx context.Context, js jetstream.JetStream, want jetstream.KeyValueConfig) (jetstream.KeyValue, error) {
	for began := time.Now(); ; {
		kv, err := tryBucket(ctx, js, want)
		switch {
		case err == nil:
			return kv, nil
		case errors.Is(err, ErrDiffers):
			return nil, fmt.Errorf("bucket %s: %w", want.Bucket, err)
		case errors.Is(err, jetstream.ErrBucketExists), errors.Is(err, jetstream.ErrStreamNameAlreadyInUse):
			// Somebody was faster.
		case errors.Is(err, jetstream.ErrStreamNotFound) && time.Since(began) < underWay:
		default:
			return nil, fmt.Errorf("ensure bucket %s: %w", want.Bucket, err)
		}
		t := time.NewTimer(lookAgain)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return nil, fmt.Errorf("ensure bucket %s: %w: %w", want.Bucket, context.Cause(ctx), err)
		}
	}
}

func tryBucket(ctx context.Context, js jetstream.JetStream, want jetstream.KeyValueConfig) (jetstream.KeyValue, error) {
	kv, err := js.KeyValue(ctx, want.Bucket)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		kv, err = js.CreateKeyValue(ctx, want)
	}
	if err != nil {
		return nil, err
	}
	st, err := kv.Status(ctx)
	if err != nil {
		return nil, err
	}
	have := st.Config()
	var d []string
	diff := func(what string, have, want any) {
		if fmt.Sprint(have) != fmt.Sprint(want) {
			d = append(d, fmt.Sprintf("%s is %v, want %v", what, have, want))
		}
	}
	diff("history", max(1, have.History), max(1, want.History))
	diff("TTL", have.TTL, want.TTL)
	diff("limit marker TTL", have.LimitMarkerTTL, want.LimitMarkerTTL)
	if len(d) > 0 {
		return nil, fmt.Errorf("%w: %s", ErrDiffers, strings.Join(d, "; "))
	}
	return kv, nil
}
