// SPDX-License-Identifier: Apache-2.0

package requestreply

import (
	"bufio"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/millrace-io/millrace/engine/remote"
)

const octetStream = "application/octet-stream"

// answer takes the answer whose head has been read; keep says whether the connection is as good as before.
func (h *HTTP) answer(p *peer, c *call) (keep bool, e *remote.Error) {
	head := &p.resp.Header
	if head.StatusCode()/100 != 2 {
		return p.skipBody(), c.refused(&p.resp)
	}
	fail := func(reason remote.Reason, err error) (bool, *remote.Error) {
		e := c.fail(reason, err)
		e.Status = head.StatusCode()
		return false, e
	}
	if !strings.EqualFold(string(head.ContentType()), octetStream) {
		return fail(remote.Broken, fmt.Errorf("the content type is %.60q: want exactly %s", head.ContentType(), octetStream))
	}
	if head.ContentLength() > h.c.PayloadMax {
		return fail(remote.TooLarge, fmt.Errorf("%d bytes, at most %d are accepted", head.ContentLength(), h.c.PayloadMax))
	}
	whole, err := h.readBody(p, c)
	switch {
	case errors.Is(err, errNoRoom):
		return fail(remote.TimedOut, err)
	case errors.Is(err, errClosed):
		return fail(remote.Unreachable, err)
	case errors.Is(err, errTooLarge):
		return fail(remote.TooLarge, fmt.Errorf("more than %d bytes", h.c.PayloadMax))
	case err != nil && p.link.err != nil:
		return false, h.lost(p, c, "reading the answer")
	case err != nil:
		return fail(remote.Broken, fmt.Errorf("the body cannot be read: %w", err))
	}
	if err := DecodeReply(c.buf, &c.r.Reply); err != nil {
		// The connection may be out of step. That is one more reason to do without it.
		e := c.locate(err)
		e.Status = head.StatusCode()
		return false, e
	}
	return whole && !p.resp.ConnectionClose() && p.r.Buffered() == 0, nil
}

// refused is what an answer without success ends a call with.
func (c *call) refused(resp *fasthttp.Response) *remote.Error {
	e := c.fail(remote.Refused, nil)
	e.Status = resp.StatusCode()
	e.RetryAfter = parseRetryAfter(string(resp.Header.Peek(fasthttp.HeaderRetryAfter)), time.Now())
	return e
}

// skipBody skips a body that nobody wants if that costs no waiting; otherwise the connection is done with.
func (p *peer) skipBody() bool {
	n := p.resp.Header.ContentLength()
	if n < 0 || n > p.r.Buffered() || p.resp.ConnectionClose() {
		return false
	}
	_, err := p.r.Discard(n)
	return err == nil && p.r.Buffered() == 0
}

var errTooLarge = errors.New("too large")

// readBody reads the body of an answer into c.buf, without its compression. whole says whether the
// connection is at the end of the answer.
func (h *HTTP) readBody(p *peer, c *call) (whole bool, err error) {
	c.buf = c.buf[:0]
	if p.resp.StatusCode() == fasthttp.StatusNoContent {
		return true, nil
	}
	if err := p.resp.ReadBody(p.r, h.c.PayloadMax); err != nil { // Reads nothing yet, as StreamBody is set.
		return false, err
	}
	defer func() { _ = p.resp.CloseBodyStream() }()
	// Both the compressed and the decompressed body are bounded: the one may be much larger than the other,
	// either way.
	wire := &p.wire
	*wire = bounded{r: p.resp.BodyStream(), left: h.c.PayloadMax}
	plain, err := decompress(wire, p.resp.Header.ContentEncoding())
	if err == nil {
		err = h.readAll(c, plain, p.resp.Header.ContentLength())
	}
	if err != nil {
		return false, err
	}
	// To fasthttp, chunks that just end are complete. So is, by the rules, a body that goes on until the end
	// of the connection: cut anywhere it is no reply, but for nothing at all, which is one without effects.
	const chunked, untilClosed = -1, -2
	n := p.resp.Header.ContentLength()
	if n == chunked && p.link.err != nil || n == untilClosed && len(c.buf) == 0 {
		return false, io.ErrUnexpectedEOF
	}
	if plain != io.Reader(wire) {
		_, err = wire.Read(make([]byte, 1))
		return err == io.EOF, nil
	}
	return true, nil
}

// bounded reads no more than left bytes.
type bounded struct {
	r    io.Reader
	left int
}

func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if b.left -= n; b.left < 0 {
		return 0, errTooLarge
	}
	return n, err
}

// decompress undoes the compressions that requests say they accept.
func decompress(r io.Reader, encoding []byte) (io.Reader, error) {
	switch string(bytes.ToLower(encoding)) {
	case "", "identity":
		return r, nil
	case "gzip", "x-gzip":
		return gzip.NewReader(r)
	case "deflate":
		// It should be zlib's format, but for some servers it is the bare stream.
		br := bufio.NewReader(r)
		head, err := br.Peek(2)
		if err != nil {
			return nil, err
		}
		if head[0]&0xf == 8 && (int(head[0])<<8|int(head[1]))%31 == 0 {
			return zlib.NewReader(br)
		}
		return flate.NewReader(br), nil
	}
	return nil, errors.New("the content encoding is neither gzip nor deflate")
}

// readAll reads r to its end into c.buf. It takes memory for what has come, not for what has been announced.
func (h *HTTP) readAll(c *call, r io.Reader, announced int) error {
	buf := c.buf[:0]
	if n := min(announced+1, smallReply); n > cap(buf) { // With one more byte to see the end with.
		buf = make([]byte, 0, n)
	}
	for {
		if len(buf) == cap(buf) {
			size := max(2*cap(buf), bytes.MinRead)
			if size > smallReply {
				size = min(size, h.c.PayloadMax+1)
			}
			if err := h.room.grow(h.base, &c.share, size, c.until); err != nil {
				return err
			}
			buf = append(make([]byte, 0, size), buf...)
		}
		n, err := r.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		switch {
		case len(buf) > h.c.PayloadMax:
			return errTooLarge
		case err == io.EOF:
			c.buf = buf
			return nil
		case err != nil:
			return err
		}
	}
}

// parseRetryAfter reads the header's two forms, seconds and a date, in any of the formats that HTTP has for
// it; 0 for anything else.
func parseRetryAfter(s string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseUint(s, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	for _, layout := range []string{"Mon, 02 Jan 2006 15:04:05 GMT", time.RFC850, time.ANSIC} {
		if t, err := time.Parse(layout, s); err == nil {
			return max(0, t.Sub(now))
		}
	}
	return 0
}
