package natsjs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"wadm/scheduler"
)

const (
	// maxState bounds a state before compression, so that a damaged one can't ask
	// for any amount of memory.
	maxState = 256 << 20
	// codeMessageTooLarge is the refusal of a message above the stream's own limit.
	codeMessageTooLarge jetstream.ErrorCode = 10054
)

// zstdMagic starts every zstd frame, and no JSON.
var zstdMagic = []byte{0x28, 0xb5, 0x2f, 0xfd}

// SaveState replaces the lattice's stored state, compressed: hosts run much the
// same, so that thousands of them fit into one message. ErrTooLarge when they
// don't.
func (l *Ledger) SaveState(ctx context.Context, c scheduler.Claim, state []byte) error {
	if err := check(c); err != nil {
		return fmt.Errorf("save state: %w", err)
	}
	if len(state) > maxState {
		return fmt.Errorf("save state of %d bytes: %w: the most is %d", len(state), scheduler.ErrTooLarge, maxState)
	}
	data := l.states.encode(state)
	if most := l.s.mostBytes(); len(data) > most {
		return fmt.Errorf("save state: %w: it has %d bytes, compressed %d; the server takes %d", scheduler.ErrTooLarge, len(state), len(data), most)
	}
	err := l.write(ctx, c, stateSubject+c.Key.Token(), data, 0, true)
	var api *jetstream.APIError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, nats.ErrMaxPayload), errors.As(err, &api) && api.ErrorCode == codeMessageTooLarge:
		return fmt.Errorf("save state: %w: %w", scheduler.ErrTooLarge, err)
	default:
		return fmt.Errorf("save state: %w", err)
	}
}

// forgottenTTL is how long an empty record stands for a state that was removed.
const forgottenTTL = time.Minute

// ForgetState removes the lattice's stored state: a lattice that is let go leaves
// nothing behind. The errors are those of SaveState.
func (l *Ledger) ForgetState(ctx context.Context, c scheduler.Claim) error {
	if err := check(c); err != nil {
		return fmt.Errorf("forget state: %w", err)
	}
	if err := l.write(ctx, c, stateSubject+c.Key.Token(), nil, forgottenTTL, true); err != nil {
		return fmt.Errorf("forget state: %w", err)
	}
	return nil
}

// LoadState reads the lattice's stored state; nil when there is none that can be read.
func (l *Ledger) LoadState(ctx context.Context, c scheduler.Claim) ([]byte, error) {
	if err := check(c); err != nil {
		return nil, fmt.Errorf("load state: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, l.s.cfg.APITimeout)
	defer cancel()
	if err := l.current(ctx, c); err != nil {
		return nil, fmt.Errorf("load state: %w", err)
	}
	m, err := l.get(ctx, getRequest{LastFor: stateSubject + c.Key.Token()})
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("load state: %w", err)
	}
	if len(m.Data) == 0 {
		return nil, nil // it was let go
	}
	state, err := l.states.decode(m.Data)
	if err != nil {
		// The hosts know everything but what is ours among links and configurations.
		l.log.Error("stored state is damaged and left aside", "tenant", c.Key.Tenant, "lattice", c.Key.Lattice, "epoch", c.Epoch, "error", err)
		return nil, nil
	}
	return state, nil
}

// stateCodec compresses states. Hosts run much the same, so that zstd leaves a
// fiftieth of them; s2 leaves three times as much in half the time.
type stateCodec struct {
	enc *zstd.Encoder
	dec *zstd.Decoder
}

func newStateCodec() stateCodec {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true))
	if err != nil {
		panic(err) // only options fail, and these are right
	}
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxState))
	if err != nil {
		panic(err)
	}
	return stateCodec{enc, dec}
}

func (c stateCodec) encode(state []byte) []byte { return c.enc.EncodeAll(state, nil) }

// decode undoes encode and lets plain states pass. It never returns nil without
// an error.
func (c stateCodec) decode(data []byte) ([]byte, error) {
	if !bytes.HasPrefix(data, zstdMagic) {
		return append([]byte{}, data...), nil
	}
	state, err := c.dec.DecodeAll(data, []byte{})
	if err != nil {
		return nil, fmt.Errorf("decode state: %w", err)
	}
	return state, nil
}
