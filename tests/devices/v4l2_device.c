/* A video device of Linux that is none: preloaded, it answers for a named pipe.
 *
 * Whatever opens the pipe FAKE_V4L2_PATH and sends it ioctls of Video4Linux2 is answered as by a
 * webcam, by the kernel's own header. Each byte in the pipe is something that happens:
 *   0 to 9  a frame: the file FAKE_V4L2_FRAMES/N.MJPG or N.YUYV
 *   e       a frame that was damaged on the wire
 *   g       the camera is unplugged
 * Reading the pipe waits, or does not, as its descriptor says, as with a real device.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/videodev2.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define BUFFERS 4
#define BUFFER_BYTES (1280 * 720 * 2)

static const unsigned int CODES[] = {V4L2_PIX_FMT_YUYV, V4L2_PIX_FMT_MJPEG};
static const unsigned int SIZES[][2] = {{640, 480}, {1280, 720}};

static struct v4l2_pix_format picture = {
    .width = 640, .height = 480, .pixelformat = V4L2_PIX_FMT_YUYV,
    .bytesperline = 1280, .sizeimage = 640 * 480 * 2, .field = V4L2_FIELD_NONE};
static unsigned int rate = 30;
static void *memory[BUFFERS];
static int queued[BUFFERS], queued_count, sequence, is_gone;

static int is_ours(int fd) {
    struct stat one, other;
    const char *path = getenv("FAKE_V4L2_PATH");
    return path && fstat(fd, &one) == 0 && S_ISFIFO(one.st_mode) && stat(path, &other) == 0 &&
           one.st_ino == other.st_ino;
}

static int fail(int number) {
    errno = number;
    return -1;
}

/* YUYV of 1280x720 is too much for the wire at 30 frames a second. */
static unsigned int best_rate(unsigned int code, unsigned int width) {
    return code == V4L2_PIX_FMT_YUYV && width == 1280 ? 10 : 30;
}

static void fit(struct v4l2_pix_format *asked) {
    asked->pixelformat = asked->pixelformat == V4L2_PIX_FMT_MJPEG ? V4L2_PIX_FMT_MJPEG
                                                                  : V4L2_PIX_FMT_YUYV;
    int is_large = asked->width > 640;
    asked->width = SIZES[is_large][0];
    asked->height = SIZES[is_large][1];
    asked->field = V4L2_FIELD_NONE;
    asked->bytesperline = asked->pixelformat == V4L2_PIX_FMT_YUYV ? 2 * asked->width : 0;
    asked->sizeimage = 2 * asked->width * asked->height;
}

static void frame_rate(struct v4l2_streamparm *parameters) {
    unsigned int most = best_rate(picture.pixelformat, picture.width);
    parameters->parm.capture.capability = V4L2_CAP_TIMEPERFRAME;
    parameters->parm.capture.timeperframe.numerator = 1;
    parameters->parm.capture.timeperframe.denominator = rate < most ? rate : most;
}

static int load(char number, int index) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%c.%.4s", getenv("FAKE_V4L2_FRAMES"), number,
             (const char *)&picture.pixelformat);
    FILE *file = fopen(path, "rb");
    if (!file) return 0;
    int size = fread(memory[index], 1, BUFFER_BYTES, file);
    fclose(file);
    return size;
}

static int dequeue(int fd, struct v4l2_buffer *buffer) {
    char what;
    if (is_gone) return fail(ENODEV);
    if (!queued_count) return fail(EAGAIN);
    if (read(fd, &what, 1) != 1) return -1;
    if (what == 'g') {
        is_gone = 1;
        return fail(ENODEV);
    }
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    int index = queued[0];
    memmove(queued, queued + 1, sizeof(int) * --queued_count);
    buffer->index = index;
    buffer->flags = V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC | (what == 'e' ? V4L2_BUF_FLAG_ERROR : 0);
    buffer->bytesused = what == 'e' ? 100 : load(what, index);
    buffer->sequence = sequence++;
    long long us = now.tv_sec * 1000000LL + now.tv_nsec / 1000 - 20000; /* 20 ms on the way */
    buffer->timestamp.tv_sec = us / 1000000;
    buffer->timestamp.tv_usec = us % 1000000;
    buffer->length = BUFFER_BYTES;
    return 0;
}

static int answer(int fd, unsigned long request, void *data) {
    const char *fault = getenv("FAKE_V4L2_FAULT");
    if (is_gone) return fail(ENODEV);
    switch (request) {
    case VIDIOC_QUERYCAP: {
        struct v4l2_capability *it = data;
        memset(it, 0, sizeof *it);
        strcpy((char *)it->driver, "uvcvideo");
        strcpy((char *)it->card, "Pretended Camera");
        it->device_caps = V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_STREAMING;
        it->capabilities = it->device_caps | V4L2_CAP_DEVICE_CAPS | V4L2_CAP_META_CAPTURE;
        return 0;
    }
    case VIDIOC_ENUM_FMT: {
        struct v4l2_fmtdesc *it = data;
        if (it->index >= 2 || it->type != V4L2_BUF_TYPE_VIDEO_CAPTURE) return fail(EINVAL);
        it->pixelformat = CODES[it->index];
        return 0;
    }
    case VIDIOC_ENUM_FRAMESIZES: {
        struct v4l2_frmsizeenum *it = data;
        if (it->index >= 2) return fail(EINVAL);
        it->type = V4L2_FRMSIZE_TYPE_DISCRETE;
        it->discrete.width = SIZES[it->index][0];
        it->discrete.height = SIZES[it->index][1];
        return 0;
    }
    case VIDIOC_ENUM_FRAMEINTERVALS: {
        struct v4l2_frmivalenum *it = data;
        if (it->index >= 1) return fail(EINVAL);
        it->type = V4L2_FRMIVAL_TYPE_DISCRETE;
        it->discrete.numerator = 1;
        it->discrete.denominator = best_rate(it->pixel_format, it->width);
        return 0;
    }
    case VIDIOC_G_FMT:
        ((struct v4l2_format *)data)->fmt.pix = picture;
        return 0;
    case VIDIOC_TRY_FMT:
        fit(&((struct v4l2_format *)data)->fmt.pix);
        return 0;
    case VIDIOC_S_FMT:
        if (fault && !strcmp(fault, "busy")) return fail(EBUSY);
        fit(&((struct v4l2_format *)data)->fmt.pix);
        picture = ((struct v4l2_format *)data)->fmt.pix;
        return 0;
    case VIDIOC_S_PARM: {
        struct v4l2_fract *it = &((struct v4l2_streamparm *)data)->parm.capture.timeperframe;
        if (it->numerator) rate = it->denominator / it->numerator;
    } /* fall through */
    case VIDIOC_G_PARM:
        frame_rate(data);
        return 0;
    case VIDIOC_REQBUFS:
        if (fault && !strcmp(fault, "full")) return fail(ENOSPC);
        if (((struct v4l2_requestbuffers *)data)->count > BUFFERS)
            ((struct v4l2_requestbuffers *)data)->count = BUFFERS;
        queued_count = 0;
        return 0;
    case VIDIOC_QUERYBUF: {
        struct v4l2_buffer *it = data;
        if (it->index >= BUFFERS) return fail(EINVAL);
        it->length = BUFFER_BYTES;
        it->m.offset = it->index * BUFFER_BYTES;
        return 0;
    }
    case VIDIOC_QBUF:
        queued[queued_count++] = ((struct v4l2_buffer *)data)->index;
        return 0;
    case VIDIOC_DQBUF:
        return dequeue(fd, data);
    case VIDIOC_STREAMON:
    case VIDIOC_G_INPUT:
    case VIDIOC_S_INPUT:
    case VIDIOC_ENUMINPUT:
        return 0;
    case VIDIOC_STREAMOFF:
        queued_count = 0;
        return 0;
    default:
        return fail(ENOTTY);
    }
}

int ioctl(int fd, unsigned long request, ...) {
    static int (*real)(int, unsigned long, ...);
    va_list rest;
    va_start(rest, request);
    void *data = va_arg(rest, void *);
    va_end(rest);
    /* PyAV and OpenCV pass it as an int here and there. */
    if ((request >> 8 & 0xff) == 'V' && is_ours(fd))
        return answer(fd, request & 0xffffffffUL, data);
    if (!real) real = dlsym(RTLD_NEXT, "ioctl");
    return real(fd, request, data);
}

static void *map(int fd, off_t offset) {
    (void)fd;
    int index = offset / BUFFER_BYTES;
    if (!memory[index])
        memory[index] = malloc(BUFFER_BYTES);
    return memory[index];
}

void *mmap64(void *at, size_t size, int protection, int flags, int fd, off64_t offset) {
    static void *(*real)(void *, size_t, int, int, int, off64_t);
    if (fd >= 0 && is_ours(fd)) return map(fd, offset);
    if (!real) real = dlsym(RTLD_NEXT, "mmap64");
    return real(at, size, protection, flags, fd, offset);
}

void *mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset) {
    static void *(*real)(void *, size_t, int, int, int, off_t);
    if (fd >= 0 && is_ours(fd)) return map(fd, offset);
    if (!real) real = dlsym(RTLD_NEXT, "mmap");
    return real(at, size, protection, flags, fd, offset);
}

int munmap(void *at, size_t size) {
    static int (*real)(void *, size_t);
    for (int index = 0; index < BUFFERS; index++)
        if (at && at == memory[index]) return 0;
    if (!real) real = dlsym(RTLD_NEXT, "munmap");
    return real(at, size);
}
