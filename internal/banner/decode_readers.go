package banner

import (
	"bufio"
	"errors"
	"io"
	"sync"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"
)

// maxZstdWindow bounds the memory a zstd body may ask for, in bytes: RFC 9659 lets browsers refuse more. That of brotli
// is 16 MiB by its format; "large window" brotli is not read, as browsers don't.
const maxZstdWindow = 8 << 20

// The readers have windows and tables that are worth keeping from one response to the next.
var (
	inputs    = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, 1<<10) }}
	gunzips   = sync.Pool{New: func() any { return new(gzipReader) }}
	zlibs     sync.Pool
	inflates  = sync.Pool{New: func() any { return flate.NewReader(nil) }}
	unbrotlis = sync.Pool{New: func() any { return new(brotli.Reader) }}
	unzstds   = sync.Pool{New: func() any {
		z, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxZstdWindow))
		if err != nil {
			panic(err) // the options are constant
		}
		return z
	}}
)

// decodeOne is a reader of what r has encoded, and what to call when it is done with.
func decodeOne(encoding string, r io.Reader) (dec io.Reader, release func(), err error) {
	switch encoding {
	case "br":
		b := unbrotlis.Get().(*brotli.Reader)
		_ = b.Reset(r) // never fails
		return b, func() {
			_ = b.Reset(nil)
			unbrotlis.Put(b)
		}, nil
	case "zstd":
		z := unzstds.Get().(*zstd.Decoder)
		if err := z.Reset(r); err != nil {
			return nil, nil, err
		}
		return z, func() {
			if z.Reset(nil) == nil {
				unzstds.Put(z)
			}
		}, nil
	}
	in := inputs.Get().(*bufio.Reader)
	in.Reset(r)
	var pool *sync.Pool
	switch encoding {
	case "gzip", "x-gzip":
		g := gunzips.Get().(*gzipReader)
		dec, pool, err = g, &gunzips, g.reset(in)
	case "deflate":
		dec, pool, err = newDeflate(in)
	default:
		err = errors.New("not known")
	}
	if err != nil {
		return nil, nil, err
	}
	return dec, func() {
		pool.Put(dec)
		in.Reset(nil)
		inputs.Put(in)
	}, nil
}

// newDeflate reads what is called deflate: RFC 9110 says zlib, some servers send it bare, and browsers take both.
func newDeflate(in *bufio.Reader) (dec io.Reader, pool *sync.Pool, err error) {
	head, err := in.Peek(2)
	if err != nil {
		return nil, nil, io.ErrUnexpectedEOF
	}
	if !(head[0]&0x0f == 8 && head[0]>>4 <= 7 && (uint(head[0])<<8|uint(head[1]))%31 == 0) {
		dec = inflates.Get().(io.Reader)
		return dec, &inflates, dec.(flate.Resetter).Reset(in, nil)
	}
	if z, ok := zlibs.Get().(io.Reader); ok {
		return z, &zlibs, z.(zlib.Resetter).Reset(in, nil)
	}
	dec, err = zlib.NewReader(in)
	return dec, &zlibs, err
}

// gzipReader reads the members of a gzip body, and ignores what follows the last, as browsers do.
type gzipReader struct {
	in    *bufio.Reader
	zr    gzip.Reader
	ended bool // the member at hand
}

func (g *gzipReader) reset(in *bufio.Reader) error {
	g.in, g.ended = in, false
	err := g.zr.Reset(in)
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	g.zr.Multistream(false)
	return err
}

func (g *gzipReader) Read(p []byte) (int, error) {
	for {
		if g.ended { // only now: looking for another member waits for more of the body
			if g.zr.Reset(g.in) != nil {
				return 0, io.EOF
			}
			g.zr.Multistream(false)
			g.ended = false
		}
		n, err := g.zr.Read(p)
		if !errors.Is(err, io.EOF) {
			return n, err
		}
		if g.ended = true; n > 0 {
			return n, nil
		}
	}
}
