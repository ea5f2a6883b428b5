package natskv

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"wadm/shard"
)

// LedgerReader is told of everything in a ledger, in stream order.
type LedgerReader interface {
	// Claim is told of a claim's record.
	Claim(h shard.Head) error
	// Write is told of a command or a state and the epoch it was fenced by; 0: none.
	Write(k shard.Key, seq, epoch uint64) error
}

// ReadLedger reads what is in the ledger now through cons and tells r, until r
// returns an error. It returns the number of messages read.
func ReadLedger(ctx context.Context, cons jetstream.Consumer, r LedgerReader) (int, error) {
	left := cons.CachedInfo().NumPending
	if left == 0 {
		return 0, nil
	}
	msgs, err := cons.Messages()
	if err != nil {
		return 0, fmt.Errorf("read ledger: %w", err)
	}
	defer msgs.Stop()
	n := 0
	for {
		m, err := msgs.Next(jetstream.NextContext(ctx))
		if err != nil {
			return n, fmt.Errorf("read ledger: %w", err)
		}
		meta, err := m.Metadata()
		if err != nil {
			return n, fmt.Errorf("read ledger: %w", err)
		}
		n++
		seq := meta.Sequence.Stream
		if k, ok := strings.CutPrefix(m.Subject(), ClaimSubject+"."); ok {
			err = r.Claim(head(shard.Key(k), seq, m.Data()))
		} else {
			_, k, _ := strings.Cut(strings.TrimPrefix(m.Subject(), "wadm."), ".")
			err = r.Write(shard.Key(k), seq, fence(m.Headers(), k))
		}
		if err != nil || meta.NumPending == 0 {
			return n, err
		}
	}
}

// fence gives the epoch a write was conditional on; 0 when it was not conditional
// on its key's claim.
func fence(h nats.Header, key string) uint64 {
	if h.Get(jetstream.ExpectedLastSubjSeqSubjHeader) != ClaimSubject+"."+key {
		return 0
	}
	epoch, err := strconv.ParseUint(h.Get(jetstream.ExpectedLastSubjSeqHeader), 10, 64)
	if err != nil {
		return 0
	}
	return epoch
}
