package catalog

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/oklog/ulid/v2"
	"golang.org/x/sync/errgroup"

	"wadm/tenancy"
	"wadm/tenancy/manifest"
)

const (
	// bodyLen is the length of the unique last token of a body key.
	bodyLen = ulid.EncodedSize
	// attemptTimeout bounds one request to the storage, so that a lost answer
	// leaves time for another try.
	attemptTimeout = 3 * time.Second
	// maxAttempts bounds the writes of one change.
	maxAttempts = 64
	// together bounds the requests one call has under way at once.
	together = 32
)

// record is a head as read, or the place of one.
type record struct {
	// head is nil when the application does not exist.
	head *head
	// revision is the condition for the next write: 0 when the key was never used.
	revision uint64
}

func headKey(key tenancy.LatticeKey, app string) string { return key.Token() + "." + app }

func bodyKey(key tenancy.LatticeKey, app, body string) string {
	return key.Token() + "." + app + "." + body
}

// newID makes a unique id that sorts by time.
func (c *Catalog) newID() (string, error) {
	id, err := ulid.New(ulid.Timestamp(c.cfg.Now()), rand.Reader)
	if err != nil {
		return "", fmt.Errorf("make id: %w", err)
	}
	return id.String(), nil
}

// check refuses names that must not reach a key.
func check(key tenancy.LatticeKey, app string) error {
	if _, err := tenancy.ParseToken(key.Token()); err != nil {
		return err
	}
	_, err := tenancy.ParseApp(app)
	return err
}

// stored is a message of the bucket as its leader has it.
type stored struct {
	data     []byte
	revision uint64
	removed  bool
	at       time.Time
}

// last reads the newest message of the keys that match filter from the stream's
// leader, so that it is not older than any acknowledged write. It returns nil
// when there is none.
func (c *Catalog) last(ctx context.Context, filter string) (*stored, error) {
	req, err := json.Marshal(map[string]string{"last_by_subj": "$KV." + c.cfg.Bucket + "." + filter})
	if err != nil {
		return nil, fmt.Errorf("encode request: %w", err)
	}
	var answer *nats.Msg
	for try := 0; ; try++ {
		actx, cancel := context.WithTimeout(ctx, attemptTimeout)
		answer, err = c.js.Conn().RequestWithContext(actx, c.get, req)
		cancel()
		if err == nil {
			break
		}
		// While the stream elects a leader nobody answers.
		if ctx.Err() != nil || try == 2 || !pause(ctx, try+3) {
			return nil, fmt.Errorf("read %s: %w", filter, err)
		}
	}
	var reply struct {
		Error   *jetstream.APIError `json:"error"`
		Message *struct {
			Sequence uint64    `json:"seq"`
			Header   []byte    `json:"hdrs"`
			Data     []byte    `json:"data"`
			Time     time.Time `json:"time"`
		} `json:"message"`
	}
	if err := json.Unmarshal(answer.Data, &reply); err != nil {
		return nil, fmt.Errorf("read %s: decode answer: %w", filter, err)
	}
	if reply.Error != nil {
		if reply.Error.ErrorCode == jetstream.JSErrCodeMessageNotFound {
			return nil, nil
		}
		return nil, fmt.Errorf("read %s: %w", filter, reply.Error)
	}
	if reply.Message == nil {
		return nil, fmt.Errorf("read %s: empty answer", filter)
	}
	s := &stored{data: reply.Message.Data, revision: reply.Message.Sequence, at: reply.Message.Time}
	if len(reply.Message.Header) > 0 {
		h, err := nats.DecodeHeadersMsg(reply.Message.Header)
		if err != nil {
			return nil, fmt.Errorf("read %s: decode header: %w", filter, err)
		}
		s.removed = h.Get("KV-Operation") != "" || h.Get(jetstream.MarkerReasonHeader) != ""
	}
	return s, nil
}

// read reads a head from the leader.
func (c *Catalog) read(ctx context.Context, key tenancy.LatticeKey, app string) (record, error) {
	s, err := c.last(ctx, headKey(key, app))
	if err != nil || s == nil {
		return record{}, err
	}
	if s.removed {
		return record{revision: s.revision}, nil
	}
	h, err := decodeHead(s.data)
	if err != nil {
		return record{}, fmt.Errorf("read %s: %w", headKey(key, app), err)
	}
	return record{head: h, revision: s.revision}, nil
}

// alter decides what becomes of a head. It returns the next one, nil to remove
// it, or cur itself to leave it alone. It must not change cur.
type alter func(ctx context.Context, cur *head) (next *head, err error)

// change applies fn to the newest head until nobody was faster. id must be noted
// in every head that fn returns, or fn must leave such a head alone when it sees it.
func (c *Catalog) change(ctx context.Context, key tenancy.LatticeKey, app, id string, fn alter) (err error) {
	name := headKey(key, app)
	// removing is the head whose removal has an unknown outcome.
	var removing *head
	var unknown bool
	defer func() {
		if err != nil && (unknown || removing != nil) && !isAmbiguous(err) {
			err = fmt.Errorf("%w: %w", errAmbiguous, err)
		}
	}()
	for try := 0; ; try++ {
		cur, err := c.read(ctx, key, app)
		if err != nil {
			return err
		}
		switch {
		case removing != nil && (cur.head == nil || cur.head.Born != removing.Born):
			return nil
		case unknown && cur.head != nil && cur.head.noted(id):
			return nil
		}
		next, err := fn(ctx, cur.head)
		if err != nil {
			return err
		}
		if next == cur.head {
			return nil
		}
		if next == nil {
			err = c.remove(ctx, name, cur.revision)
		} else {
			err = c.write(ctx, name, next, cur.revision)
		}
		switch {
		case err == nil:
			return nil
		case errors.Is(err, errAmbiguous):
			if next == nil {
				removing = cur.head
			} else {
				unknown = true
			}
		case !errors.Is(err, jetstream.ErrKeyRevisionMismatch):
			return fmt.Errorf("write %s: %w", name, err)
		}
		if try+1 >= maxAttempts || !pause(ctx, try) {
			return fmt.Errorf("write %s: %w: %w", name, ErrConflict, err)
		}
	}
}

// pause waits longer from try to try, and never in step with others.
func pause(ctx context.Context, try int) bool {
	most := min(4*time.Millisecond<<min(try, 6), 200*time.Millisecond)
	t := time.NewTimer(time.Millisecond + mathrand.N(most))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

func (c *Catalog) write(ctx context.Context, name string, h *head, revision uint64) error {
	data, err := h.encode()
	if err != nil {
		return err
	}
	if most := c.js.Conn().MaxPayload(); int64(len(data))+1024 > most {
		return fmt.Errorf("%w: the list of versions takes %d bytes of %d", ErrTooLarge, len(data), most)
	}
	actx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	_, err = c.kv.Update(actx, name, data, revision)
	return outcome(err)
}

func (c *Catalog) remove(ctx context.Context, name string, revision uint64) error {
	actx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	opts := []jetstream.KVDeleteOpt{jetstream.LastRevision(revision)}
	if c.markers {
		opts = append(opts, jetstream.PurgeTTL(c.cfg.MarkerTTL))
	}
	return outcome(c.kv.Purge(actx, name, opts...))
}

// outcome tells refusals from silence.
func outcome(err error) error {
	if err == nil || errors.Is(err, jetstream.ErrKeyRevisionMismatch) {
		return err
	}
	if errors.Is(err, nats.ErrMaxPayload) {
		return fmt.Errorf("%w: %w", ErrTooLarge, err)
	}
	var js jetstream.JetStreamError
	if errors.As(err, &js) && js.APIError() != nil {
		switch api := js.APIError(); {
		case api.ErrorCode == codeMessageTooLarge:
			return fmt.Errorf("%w: %w", ErrTooLarge, err)
		case api.ErrorCode == codeStoreFailed, api.Code < 500:
			return err
		}
	}
	return fmt.Errorf("%w: %w", errAmbiguous, err)
}

func isAmbiguous(err error) bool { return errors.Is(err, errAmbiguous) }

// Error codes of the server for which the client library has no name.
const (
	codeMessageTooLarge jetstream.ErrorCode = 10054
	// codeStoreFailed is what a full bucket answers.
	codeStoreFailed jetstream.ErrorCode = 10077
)

// writeBody stores a manifest under a key that was never used. Storing it twice
// after a lost acknowledgement is harmless.
func (c *Catalog) writeBody(ctx context.Context, name string, data []byte) error {
	for try := 0; ; try++ {
		actx, cancel := context.WithTimeout(ctx, attemptTimeout)
		_, err := c.kv.Put(actx, name, data)
		cancel()
		err = outcome(err)
		if err == nil {
			return nil
		}
		if !errors.Is(err, errAmbiguous) || try == 3 || !pause(ctx, try+2) {
			return fmt.Errorf("write %s: %w", name, err)
		}
	}
}

// readBody reads a manifest in canonical form. ok is false when it is gone.
func (c *Catalog) readBody(ctx context.Context, name string) (data []byte, ok bool, err error) {
	if data, _ := c.bodies.find(name); data != nil {
		return data, true, nil
	}
	// Any replica may answer first: what never changes cannot be outdated.
	actx, cancel := context.WithTimeout(ctx, attemptTimeout)
	entry, err := c.kv.Get(actx, name)
	cancel()
	if err == nil {
		c.bodies.keep(name, entry.Value(), nil)
		return entry.Value(), true, nil
	}
	// A replica may lag behind; the leader knows.
	s, err := c.last(ctx, name)
	if err != nil {
		return nil, false, err
	}
	if s == nil || s.removed {
		return nil, false, nil
	}
	c.bodies.keep(name, s.data, nil)
	return s.data, true, nil
}

// readManifest reads and decodes a body.
func (c *Catalog) readManifest(ctx context.Context, name string) (m *manifest.Manifest, ok bool, err error) {
	if _, m := c.bodies.find(name); m != nil {
		return m, true, nil
	}
	data, ok, err := c.readBody(ctx, name)
	if err != nil || !ok {
		return nil, false, err
	}
	m = new(manifest.Manifest)
	if err := json.Unmarshal(data, m); err != nil {
		return nil, true, fmt.Errorf("read %s: %w: %w", name, ErrUndecodable, err)
	}
	c.bodies.keep(name, data, m)
	return m, true, nil
}

// removeBodies removes bodies that no head names any more. What fails is left to
// the sweep.
func (c *Catalog) removeBodies(ctx context.Context, key tenancy.LatticeKey, app string, bodies []string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	var g errgroup.Group
	g.SetLimit(together)
	for _, b := range bodies {
		g.Go(func() error {
			// One exact subject, never a pattern: the body of a put that is under way
			// at this moment must survive.
			return c.stream.Purge(ctx, jetstream.WithPurgeSubject("$KV."+c.cfg.Bucket+"."+bodyKey(key, app, b)))
		})
	}
	if err := g.Wait(); err != nil {
		c.log.Warn("removing bodies failed; the sweep will do it", "tenant", key.Tenant, "lattice", key.Lattice,
			"application", app, "error", err)
	}
}
