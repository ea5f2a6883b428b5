package natsconn

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// ErrReconnected means that the connection was made again, and what was stored
// meanwhile may have been missed.
var ErrReconnected = errors.New("connection was made again")

// Followed says what [Follow] follows.
type Followed struct {
	// Stream is the stream's name; a bucket's is KV_{bucket}.
	Stream string
	// Subjects are those of the messages, with wildcards; a bucket's are $KV.{bucket}.{keys}.
	Subjects string
	// HeadersOnly leaves the messages' data out.
	HeadersOnly bool
	// Beat is how often the server shows that a quiet subscription is there, 500 ms to
	// 15 s; default 1 s. When two are missed, following ends. Each is a small message.
	Beat time.Duration
}

// Message is one message of a stream.
type Message struct {
	Subject string
	Seq     uint64
	Data    []byte
	header  nats.Header
}

// Op tells what a message of a bucket does to its key. An expiry purges it.
func (m Message) Op() jetstream.KeyValueOp {
	switch m.header.Get("KV-Operation") {
	case "DEL":
		return jetstream.KeyValueDelete
	case "PURGE":
		return jetstream.KeyValuePurge
	case "":
		switch m.header.Get(jetstream.MarkerReasonHeader) {
		case "MaxAge", "Purge":
			return jetstream.KeyValuePurge
		case "Remove":
			return jetstream.KeyValueDelete
		}
	}
	return jetstream.KeyValuePut
}

const (
	// followExpiry is how long a request for messages stands: one is made as often
	// when nothing happens.
	followExpiry = 30 * time.Second
	// followKept is how long the server keeps a consumer that nobody reads any more;
	// unfollowTimeout is how long it may take to delete it at once.
	followKept      = time.Minute
	unfollowTimeout = 500 * time.Millisecond
	// askFirst is the wait for the answer of whoever makes the consumer; it doubles
	// for each of askTries.
	askFirst = time.Second
	askTries = 3
	// While the first messages arrive, each wait is loadWait long, and mostSilent of them
	// in a row mean that the subscription brings nothing.
	loadWait   = time.Second
	mostSilent = 3
	// quietWait is how long nothing may come until the stream is asked whether there
	// is something: a message that was lost on its way between two servers, or has not
	// reached the one that keeps the place in the stream, shows in nothing else.
	quietWait = 10 * time.Second
)

// Follow calls seen first with the newest message of each subject (perhaps with
// none), then with each that is stored, in order and never concurrently. read
// turns a message into what seen gets, or tells to leave it out. It returns nil
// when ctx ends, also while NATS is silent, and an error as soon as messages may
// have been missed: call it again, and take what the first call of seen does not
// have for gone. That is at once after a reconnect ([ErrReconnected]), after two
// missed beats when the server dies that keeps the place in the stream, and some ten
// seconds after the last message of all was lost on its way.
func Follow[T any](ctx context.Context, js jetstream.JetStream, f Followed, read func(Message) (T, bool), seen func([]T)) error {
	// A request that was parked at the former connection may have taken messages with it,
	// and a server that was restarted may have made the consumer, or even the stream, anew.
	following, end := context.WithCancelCause(ctx)
	connected := js.Conn().StatusChanged(nats.CONNECTED)
	var wg sync.WaitGroup
	wg.Go(func() {
		select {
		case <-connected:
			end(ErrReconnected)
		case <-following.Done():
		}
	})
	err := followOnce(following, js, f, read, seen)
	if cause := context.Cause(following); cause != nil {
		err = cause
	}
	end(nil)
	wg.Wait()
	js.Conn().RemoveStatusListener(connected)
	if ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("follow %s: %w", f.Subjects, err)
}

func followOnce[T any](ctx context.Context, js jetstream.JetStream, f Followed, read func(Message) (T, bool), seen func([]T)) error {
	cons, err := f.consumer(ctx, js)
	if err != nil {
		return err
	}
	defer unfollow(ctx, js, f.Stream, cons)
	beat := f.Beat
	if beat == 0 {
		beat = time.Second
	}
	// A consumer dies with its server without a word: missed heartbeats tell.
	msgs, err := cons.Messages(jetstream.PullExpiry(followExpiry), jetstream.PullHeartbeat(beat), jetstream.WithMessagesErrOnMissingHeartbeat(true))
	if err != nil {
		return err
	}
	defer msgs.Stop()

	pending := cons.CachedInfo().NumPending
	first := make([]T, 0, pending)
	loaded := pending == 0
	if loaded {
		seen(first)
	}
	silent, last := 0, uint64(0)
	var seq, newest uint64 // in the stream: what came last, and what is known to be there
	var stream jetstream.Stream
	for {
		wait := loadWait
		if loaded && newest <= seq {
			wait = quietWait
		}
		m, err := next(ctx, msgs, wait)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, context.DeadlineExceeded) && loaded:
			if newest > seq {
				return fmt.Errorf("message %d has not come", newest)
			}
			if stream == nil {
				stream = f.stream(ctx, js)
			}
			newest = f.newest(ctx, stream)
			continue
		case errors.Is(err, context.DeadlineExceeded):
			// The client notices a subscription that has died by missing heartbeats,
			// but not in waits as short as these.
			if silent++; silent > mostSilent {
				return fmt.Errorf("nothing within %v of what is pending", mostSilent*loadWait)
			}
			// What was pending may have been replaced or have expired on the way.
			info, err := cons.Info(ctx)
			if err != nil {
				return err
			}
			if info.NumPending == 0 {
				loaded = true
				seen(first)
				first = nil
			}
			continue
		case err != nil:
			return err
		}
		meta, err := m.Metadata()
		if err != nil {
			return err
		}
		// A server that is back may make the consumer anew from its configuration.
		if got := meta.Sequence.Consumer; got != last+1 {
			return fmt.Errorf("message %d came after %d", got, last)
		}
		silent, last, seq = 0, meta.Sequence.Consumer, meta.Sequence.Stream
		x, ok := read(Message{Subject: m.Subject(), Seq: meta.Sequence.Stream, Data: m.Data(), header: m.Headers()})
		switch {
		case loaded && ok:
			seen([]T{x})
		case loaded:
		default:
			if ok {
				first = append(first, x)
			}
			if loaded = meta.NumPending == 0; loaded {
				seen(first)
				first = nil
			}
		}
	}
}

// consumer makes a consumer of the newest message of each subject, and of those to
// come. It asks again, each time under another name: a request is lost with the server
// that has it, and a name that was given to a server just killed is given to it again.
// What comes of an earlier request after all is forgotten by the server.
func (f Followed) consumer(ctx context.Context, js jetstream.JetStream) (jetstream.Consumer, error) {
	for try, wait := 1, askFirst; ; try, wait = try+1, 2*wait {
		limited, cancel := context.WithTimeout(ctx, wait)
		// Not the client's ordered consumer: when that hears nothing it makes a new one
		// by itself, as often as it takes, and neither the context nor the end of the
		// connection ends that; and the one below the client's watch of a bucket may take
		// 20 s to notice that it hears nothing.
		cons, err := js.CreateConsumer(limited, f.Stream, jetstream.ConsumerConfig{
			Name:              rand.Text(),
			FilterSubject:     f.Subjects,
			DeliverPolicy:     jetstream.DeliverLastPerSubjectPolicy,
			AckPolicy:         jetstream.AckNonePolicy,
			HeadersOnly:       f.HeadersOnly,
			MemoryStorage:     true,
			Replicas:          1,
			InactiveThreshold: followKept,
		})
		cancel()
		if err == nil || ctx.Err() != nil || try == askTries || !errors.Is(err, context.DeadlineExceeded) {
			return cons, err
		}
	}
}

// unfollow deletes a consumer. Where that fails the server forgets it by itself,
// but a stream that comes and goes would have hundreds of them until then.
func unfollow(ctx context.Context, js jetstream.JetStream, stream string, cons jetstream.Consumer) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), unfollowTimeout)
	defer cancel()
	_ = js.DeleteConsumer(ctx, stream, cons.CachedInfo().Name)
}

func next(ctx context.Context, msgs jetstream.MessagesContext, wait time.Duration) (jetstream.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	return msgs.Next(jetstream.NextContext(ctx))
}

// stream looks the stream up; nil if there is no answer.
func (f Followed) stream(ctx context.Context, js jetstream.JetStream) jetstream.Stream {
	ctx, cancel := context.WithTimeout(ctx, askFirst)
	defer cancel()
	st, err := js.Stream(ctx, f.Stream)
	if err != nil {
		return nil
	}
	return st
}

// newest is the sequence of the newest message, as one of the servers that store it
// knows; 0 if there is none or no answer.
func (f Followed) newest(ctx context.Context, st jetstream.Stream) uint64 {
	if st == nil {
		return 0
	}
	ctx, cancel := context.WithTimeout(ctx, askFirst)
	defer cancel()
	m, err := st.GetLastMsgForSubject(ctx, f.Subjects)
	if err != nil {
		return 0
	}
	return m.Sequence
}
