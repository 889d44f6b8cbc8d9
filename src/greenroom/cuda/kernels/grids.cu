/* The small grids: the guided filter and the temporal filter; as core/guided.c and core/settle.c.
 *
 * The core looks only at the parts of rows that have coverage; elsewhere all is 0 here, too. */
#include "grids.cuh"

/* Fit a linear model from the reference to the matte in the window around every sample; its slope
 * and offset. */
GR_KERNEL(guide_fit)(const float *reference, const float *matte, float flat, float *slopes,
                     float *offsets, int height, int width) {
    GR_WITHIN(width, height)
    float guide = gr_mean_around(reference, 0, x, y, height, width);
    float mean = gr_mean_around(matte, 0, x, y, height, width);
    float both = gr_mean_around(reference, matte, x, y, height, width);
    float square = gr_mean_around(reference, reference, x, y, height, width);
    float slope = gr_slope(guide, mean, both, square, flat);
    slopes[(ptrdiff_t)y * width + x] = slope;
    offsets[(ptrdiff_t)y * width + x] = mean - slope * guide;
}

/* Average the models of all windows that contain a sample, and classify it. */
GR_KERNEL(guide_mean)(const float *slopes, const float *offsets, float guides, float middle,
                      float gain, float *mean_slopes, float *mean_offsets, uint8_t *own,
                      int height, int width) {
    GR_WITHIN(width, height)
    ptrdiff_t at = (ptrdiff_t)y * width + x;
    float slope = gr_mean_around(slopes, 0, x, y, height, width);
    float offset = gr_mean_around(offsets, 0, x, y, height, width);
    mean_slopes[at] = slope, mean_offsets[at] = offset;
    float low = middle - 0.5f / gain, high = middle + 0.5f / gain;
    own[at] = (uint8_t)gr_model_kind(slope, offset, guides, low, high);
}

/* A sample is of a kind if all around it are. */
GR_KERNEL(guide_kinds)(const uint8_t *own, uint8_t *kinds, int height, int width) {
    GR_WITHIN(width, height)
    uint8_t kind = own[(ptrdiff_t)y * width + x], joined = kind;
    for (int row = gr_max(y - 1, 0); row <= gr_min(y + 1, height - 1); row++)
        for (int column = gr_max(x - 1, 0); column <= gr_min(x + 1, width - 1); column++)
            if (own[(ptrdiff_t)row * width + column] != kind) joined = GR_EDGE;
    kinds[(ptrdiff_t)y * width + x] = joined;
}

/* Apply the models on the working grid (height, width); see gr_guide. */
GR_KERNEL(guide_apply)(const float *slopes, const float *offsets, const int16_t *picture,
                       float middle, float gain, float *maps, uint8_t *coverage, int height,
                       int width) {
    GR_WITHIN(width, height)
    int high = (height + 1) / 2, wide = (width + 1) / 2;
    ptrdiff_t at = (ptrdiff_t)y * width + x, size = (ptrdiff_t)height * width;
    float slope = gr_doubled(slopes, x, y, high, wide), level = picture[at] * (1 / 128.0f);
    float offset = gr_doubled(offsets, x, y, high, wide);
    float base = gr_modelled(slope, offset, level, middle, gain);
    maps[at] = base, maps[size + at] = slope * gain, maps[2 * size + at] = level;
    coverage[at] = gr_byte(gr_within(base * 255 + 0.5f, 0.5f, 255.0f));
}

/* How much luma has changed; and a box that begins beyond the ends of a grid (high, wide). */
GR_KERNEL(settle_changes)(const uint8_t *luma, const float *reference, float *changes,
                          int32_t *box, int high, int wide) {
    GR_WITHIN(wide, high)
    ptrdiff_t at = (ptrdiff_t)y * wide + x;
    changes[at] = fabsf(luma[at] - reference[at]);
    if (at == 0) box[0] = wide, box[1] = high, box[2] = box[3] = 0;
}

/* Find each sample's share of the way to its new value, and go it with the picture. */
GR_KERNEL(settle_shares)(const float *changes, const uint8_t *luma, float still, float least,
                         float *age, float *reference, int16_t *shares, int height, int width) {
    GR_WITHIN(width, height)
    ptrdiff_t at = (ptrdiff_t)y * width + x;
    float change = gr_mean_around(changes, 0, x, y, height, width);
    float moving = gr_moving(change, 1 / still, gr_numbers());
    age[at] = age[at] * (1 - moving) + 1;
    float share = gr_share(age[at], moving, least);
    reference[at] += share * (luma[at] - reference[at]);
    shares[at] = gr_whole_share(share, gr_numbers());
}

/* Go the way on the working grid (height, width), with the picture and the matte; see
 * gr_settle. */
GR_KERNEL(settle_apply)(const int16_t *shares, const uint8_t *luma, ptrdiff_t stride,
                        const float *coarse, float surest, const float *probability, int nobody,
                        int16_t *reference, float *steady, int height, int width) {
    GR_WITHIN(width, height)
    int high = (height + 1) / 2, wide = (width + 1) / 2, beside = gr_far(x, wide);
    const int16_t *near = shares + (ptrdiff_t)(y / 2) * wide;
    const int16_t *far = shares + (ptrdiff_t)gr_far(y, high) * wide;
    int16_t here = gr_share_between_rows(near[x / 2], far[x / 2]);
    int16_t share = (int16_t)(3 * here + gr_share_between_rows(near[beside], far[beside]));
    ptrdiff_t at = (ptrdiff_t)y * width + x;
    reference[at] = gr_approached(reference[at], luma[y * stride + x], share);
    float found = surest < coarse[at] ? surest : coarse[at];
    if (probability)
        found = gr_combined(found, gr_doubled(probability, x, y, high, wide));
    steady[at] = nobody ? 0.0f : gr_steadied(steady[at], found, share);
}

/* Halve the matte (height, width), and find the box of coverage of at least one half: left, top,
 * right and bottom, which begin beyond the ends. */
GR_KERNEL(settle_half)(const float *steady, float *half, int32_t *box, int height, int width) {
    int wide = (width + 1) / 2;
    GR_WITHIN(wide, (height + 1) / 2)
    const float *one = steady + (ptrdiff_t)2 * y * width;
    const float *two = steady + (ptrdiff_t)gr_min(2 * y + 1, height - 1) * width;
    int left = 2 * x, right = gr_min(2 * x + 1, width - 1);
    float mean = (one[left] + one[right] + two[left] + two[right]) * 0.25f;
    half[(ptrdiff_t)y * wide + x] = mean;
    if (mean >= GR_SOMEBODY) {
        atomicMin(box, x), atomicMin(box + 1, y);
        atomicMax(box + 2, x + 1), atomicMax(box + 3, y + 1);
    }
}

/* Multiply the matte (height, width) by a mask of 0 and 1 on the half grid, enlarged; the box
 * begins as above. */
GR_KERNEL(mask_matte)(const uint8_t *mask, float *steady, int32_t *box, int height, int width) {
    GR_WITHIN(width, height)
    int high = (height + 1) / 2, wide = (width + 1) / 2, beside = gr_far(x, wide);
    const uint8_t *near = mask + (ptrdiff_t)(y / 2) * wide;
    const uint8_t *far = mask + (ptrdiff_t)gr_far(y, high) * wide;
    float first = 0.75f * near[x / 2] + 0.25f * far[x / 2];
    float second = 0.75f * near[beside] + 0.25f * far[beside];
    steady[(ptrdiff_t)y * width + x] *= 0.75f * first + 0.25f * second;
    if (x == 0 && y == 0) box[0] = wide, box[1] = high, box[2] = box[3] = 0;
}
