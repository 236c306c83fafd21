// Package sealed writes large signed logs to a sink, as quickly as it takes them: for measuring what reads them.
package sealed

import (
	"context"
	"crypto/rand"
	"fmt"
	mrand "math/rand/v2"
	"time"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
)

const (
	// LogID is that of the logs.
	LogID = "kxp3vbq2mwu7zdnc"

	batchRows = 10_000
	// perImpersonation is how many requests each has.
	perImpersonation = 98
)

// Write writes rows requests and events of impersonations with a hundred rows each, side by side, and the checkpoints that
// a gateway makes: at a thousand rows. They are signed by a key made in dir. It returns its verifier key.
func Write(ctx context.Context, sink audit.Sink, dir string, rows int) (verifier string, err error) {
	signer, err := audit.OwnSigner(dir)
	if err != nil {
		return "", err
	}
	random := mrand.New(mrand.NewPCG(1, 2)) //nolint:gosec // repeatable
	tree := new(audit.Tree)
	at := time.Date(2026, 3, 10, 8, 0, 0, 0, time.UTC)
	var previous uint64
	live := make([]int, 8) // rows so far of those side by side
	ids := make([]string, len(live))
	batch := &audit.Batch{LogID: LogID, From: 1}
	flush := func(seq uint64) error {
		batch.To, batch.Token = seq, fmt.Sprint("sealed-", seq)
		if err := sink.Write(ctx, batch); err != nil {
			return fmt.Errorf("writing rows up to %d: %w", seq, err)
		}
		batch = &audit.Batch{LogID: LogID, From: seq + 1}
		return nil
	}
	for seq := uint64(1); seq <= uint64(rows); seq++ {
		at = at.Add(time.Duration(random.ExpFloat64()*20_000) * time.Microsecond).Truncate(time.Microsecond)
		i := random.IntN(len(live))
		if live[i] == 0 {
			ids[i] = rand.Text()
		}
		actor, target := fmt.Sprint("agent", i), fmt.Sprint("user", seq%300)
		var leaf [32]byte
		switch n := live[i]; {
		case n == 0 || n > perImpersonation:
			e := &audit.Event{
				Time: at, LogID: LogID, Seq: seq, Type: audit.EventImpersonationStarted, ImpersonationID: ids[i], ActorID: actor, ActorUsername: actor, ActorName: actor,
				TargetID: target, TargetUsername: target, TargetName: target, Mode: "full", ClientIP: "192.0.2.7", Reason: "the booking won't complete", Detail: `{"policy":"support"}`,
			}
			if live[i]++; n > perImpersonation {
				e.Type, e.Detail, live[i] = audit.EventImpersonationEnded, fmt.Sprintf(`{"cause":"stopped","requests":%d}`, perImpersonation), 0
			}
			e.Hash()
			leaf = e.LeafHash
			batch.Events = append(batch.Events, e)
		default:
			live[i]++
			r := &audit.Request{
				Time: at, LogID: LogID, Seq: seq, RequestID: rand.Text(), ImpersonationID: ids[i], ImpersonationSeq: uint64(n),
				ActorID: actor, ActorUsername: actor, ActorName: actor, TargetID: target, TargetUsername: target, TargetName: target,
				Mode: "full", ClientIP: "192.0.2.7", UserAgent: "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.6000.11 Safari/537.36",
				Method: "GET", Scheme: "https", Host: "app.example.com", Path: fmt.Sprintf("/bookings/%d", random.IntN(20_000)), Status: 200, Outcome: audit.OutcomeCompleted,
				Banner: audit.BannerMarked, Duration: time.Duration(2000+random.ExpFloat64()*30_000) * time.Microsecond, ResponseBytes: int64(random.IntN(40_000)), ContentType: "text/html; charset=utf-8",
			}
			r.Hash()
			leaf = r.LeafHash
			batch.Requests = append(batch.Requests, r)
		}
		tree.Append(leaf)
		if seq%audit.SealRows == 0 || seq == uint64(rows) {
			c, err := audit.SignCheckpoint(LogID, at, tree, previous, signer)
			if err != nil {
				return "", err
			}
			previous = seq
			batch.Checkpoints = append(batch.Checkpoints, c)
		}
		if seq%batchRows == 0 || seq == uint64(rows) {
			if err := flush(seq); err != nil {
				return "", err
			}
		}
	}
	return signer.Verifier(), nil
}
