package feed

import (
	"errors"
	"fmt"
	"image"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"focusnfix/core/run"
)

// cachePixels bounds the decoded images that are kept: 64 of 512x512.
const cachePixels = 16 << 20

// Cache keeps the decoded files that were read last. It is for any number of goroutines.
type Cache struct {
	// Fetch sees to an image of a run that is elsewhere before it is read: it returns the path of a file with at
	// least side pixels along its longer side, or with 0 the file itself. nil: every file is here.
	Fetch func(f run.Folder, path string, side int) (string, error)

	mu     sync.Mutex
	files  map[string]*cachedImage
	pixels int
	clock  int // counts uses
}

type cachedImage struct {
	img     image.Image
	written time.Time
	size    int64 // bytes of the file
	used    int
}

// NewCache returns an empty cache.
func NewCache() *Cache { return &Cache{files: map[string]*cachedImage{}} }

// IfHere asks [Cache.Read] for the very file, and for none if that is on another machine.
const IfHere = -1

// Read is an image file of a run folder. A file that was written anew is read anew. It may be a smaller image
// whose longer side has side pixels or more, where the file is on another machine; with 0 it is not.
func (c *Cache) Read(f run.Folder, path string, side int) (image.Image, error) {
	if c.Fetch != nil {
		var err error
		if path, err = c.Fetch(f, path, side); err != nil {
			return nil, err
		}
	}
	key := filepath.Join(f.Dir, filepath.FromSlash(path))
	if img := c.find(key); img != nil {
		return img, nil
	}
	img, info, err := readRunImage(f, path)
	if err != nil {
		return nil, err
	}
	c.add(key, &cachedImage{img: img, written: info.ModTime(), size: info.Size()})
	return img, nil
}

func (c *Cache) find(key string) image.Image {
	info, err := os.Stat(key)
	if err != nil {
		return nil // reading it says why
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	have := c.files[key]
	if have == nil || !have.written.Equal(info.ModTime()) || have.size != info.Size() {
		return nil
	}
	c.clock++
	have.used = c.clock
	return have.img
}

func (c *Cache) add(key string, img *cachedImage) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drop(key)
	c.clock++
	img.used = c.clock
	c.files[key] = img
	c.pixels += pixelsOf(img.img)
	for c.pixels > cachePixels && len(c.files) > 1 {
		oldest := key
		for k, f := range c.files {
			if f.used < c.files[oldest].used {
				oldest = k
			}
		}
		c.drop(oldest)
	}
}

func (c *Cache) drop(key string) {
	if have := c.files[key]; have != nil {
		c.pixels -= pixelsOf(have.img)
		delete(c.files, key)
	}
}

func pixelsOf(img image.Image) int { return img.Bounds().Dx() * img.Bounds().Dy() }

// noPicture says in few words why an image file cannot be read.
func noPicture(path string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return missingError(path)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%s: no permission", path)
	}
	return fmt.Errorf("%s: %w", path, err)
}

// missingError is the error of an image file that is not there.
type missingError string

func (e missingError) Error() string { return "no image " + string(e) }

// Is makes it an fs.ErrNotExist.
func (e missingError) Is(target error) bool { return target == fs.ErrNotExist }
