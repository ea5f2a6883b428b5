package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"wadm/tenancy"
	"wadm/tenancy/manifest"
)

// cloudEvent is the envelope of a manifest event, in wire order.
type cloudEvent struct {
	SpecVersion     string          `json:"specversion"`
	ID              string          `json:"id"`
	Type            string          `json:"type"`
	Source          string          `json:"source"`
	DataContentType string          `json:"datacontenttype"`
	Time            string          `json:"time"`
	Data            json.RawMessage `json:"data"`
}

// publishTimeout bounds one publication of an event.
const publishTimeout = 3 * time.Second

func (s *Server) announcePublished(ctx context.Context, key tenancy.LatticeKey, m *manifest.Manifest) error {
	data, err := m.EventJSON()
	if err != nil {
		return fmt.Errorf("encode manifest: %w", err)
	}
	return s.announce(ctx, key, "manifest_published", data)
}

func (s *Server) announceUnpublished(ctx context.Context, key tenancy.LatticeKey, app string) error {
	data, err := encode(struct {
		Name string `json:"name"`
	}{app})
	if err != nil {
		return err
	}
	return s.announce(ctx, key, "manifest_unpublished", data)
}

// announce publishes a manifest event and waits until it is stored.
func (s *Server) announce(ctx context.Context, key tenancy.LatticeKey, kind string, data []byte) error {
	id, err := uuid.NewRandom()
	if err != nil {
		return fmt.Errorf("make event id: %w", err)
	}
	body, err := encode(cloudEvent{
		SpecVersion: "1.0", ID: id.String(), Type: "com.wadm." + kind, Source: "wadm",
		DataContentType: "application/json", Time: s.cfg.Now().UTC().Format(time.RFC3339Nano), Data: data,
	})
	if err != nil {
		return err
	}
	for try := 0; ; try++ {
		m := &nats.Msg{Subject: s.subject(key, "wadm.evt", kind), Data: body, Header: inject(ctx)}
		pctx, cancel := context.WithTimeout(ctx, publishTimeout)
		_, err = s.js.PublishMsg(pctx, m)
		cancel()
		if err == nil {
			return nil
		}
		// Tools remove the streams by name while servers run.
		if !errors.Is(err, jetstream.ErrNoStreamResponse) || try > 0 {
			return fmt.Errorf("publish %s: %w", kind, err)
		}
		if err := s.ensureStreams(ctx); err != nil {
			return err
		}
	}
}
