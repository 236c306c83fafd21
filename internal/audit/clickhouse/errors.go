package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"

	"github.com/ClickHouse/clickhouse-go/v2"

	"github.com/seed-240d5494/caddy-impersonate/internal/audit"
)

// Codes of ClickHouse's exceptions, from its ErrorCodes.cpp.
const (
	codeNoSuchColumn      = 16
	codeThereIsNoColumn   = 8
	codeUnknownIdentifier = 47
	codeTypeMismatch      = 53
	codeUnknownTable      = 60
	codeUnknownDatabase   = 81
	codeTimeout           = 159
	codeReadonly          = 164
	codeMemoryLimit       = 241
	codeTooManyParts      = 252
	codeAccessDenied      = 497
	codeAuthFailed        = 516
)

// refusedForGood are the codes that say: these values, never. All others, also those of a missing column or a full
// disk, are mended by time or by an operator, and then the batch is taken.
var refusedForGood = []int32{
	6,   // CANNOT_PARSE_TEXT
	27,  // CANNOT_PARSE_INPUT_ASSERTION_FAILED
	69,  // ARGUMENT_OUT_OF_BOUND
	70,  // CANNOT_CONVERT_TYPE
	117, // INCORRECT_DATA
	131, // TOO_LARGE_STRING_SIZE
	321, // VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE
	349, // CANNOT_INSERT_NULL_IN_ORDINARY_COLUMN
	469, // VIOLATED_CONSTRAINT
	691, // UNKNOWN_ELEMENT_OF_ENUM
}

// failed says what was being done and, where it can be told, what an operator has to do. A permanent error is an
// [audit.ErrPermanent].
func (s *Sink) failed(doing string, err error) error {
	var e *clickhouse.Exception
	if !errors.As(err, &e) {
		if isNetwork(err) {
			s.dialer.next()
		}
		if advice := tlsAdvice(err); advice != "" {
			return fmt.Errorf("%s: %s: %w", doing, advice, err)
		}
		return fmt.Errorf("%s: %w", doing, err)
	}
	if slices.Contains(refusedForGood, e.Code) {
		return fmt.Errorf("%s: %w: %w", doing, audit.ErrPermanent, err)
	}
	advice := ""
	switch e.Code {
	case codeUnknownDatabase, codeUnknownTable:
		advice = s.missing("").Error()
	case codeNoSuchColumn, codeThereIsNoColumn, codeUnknownIdentifier, codeTypeMismatch:
		advice = "the tables are not as this version made them; " + applyHint
	case codeAccessDenied:
		advice = fmt.Sprintf("user %q needs the grants of deploy/clickhouse/users.sql on database %q, and the schema in it (%s)", s.userName(), s.database, applyHint)
	case codeAuthFailed:
		advice = "check user and password in the DSN"
	case codeTooManyParts:
		advice = "the server is behind with merging; it is tried again"
	case codeMemoryLimit:
		advice = "the server is short of memory; it is tried again"
	case codeReadonly:
		advice = "the server or the user is read-only"
	case codeTimeout:
		advice = "the server took too long"
	}
	if advice == "" {
		return fmt.Errorf("%s: %w", doing, err)
	}
	return fmt.Errorf("%s: %s: %w", doing, advice, err)
}

func (s *Sink) userName() string {
	if s.user == "" {
		return "default"
	}
	return s.user
}

// isNetwork tells the failure of a connection from the answer of a server, and from a caller who gave up at once.
func isNetwork(err error) bool {
	var ne net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, clickhouse.ErrAcquireConnTimeout) || errors.As(err, &ne)
}
