/* The confusion matrix as a picture: a row for each true class, a column for what it was taken for. A cell is coloured by its share of the row, blue on the
 * diagonal and red beside it; the shade goes with the root of the share, so that a few mistakes are seen too. Numbers stand in the cells while they fit. */
#include "trainer/confusion.h"
#include "trainer/picture.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MARGIN = 16, NAME_MOST = 24, NUMBERED_MOST = 20 };

static const struct colour black = { 32, 32, 32 }, white = { 255, 255, 255 }, line = { 221, 221, 221 }, right_colour = { 20, 78, 160 }, wrong_colour = { 196, 40, 20 };
static const char caption[] = "row: true class, column: predicted";

/* Where things are, in pixels. */
struct layout {
    int cell;       /* side */
    int scale;      /* of the letters beside the matrix */
    int label_step; /* every so many classes have their name there */
    int names;      /* the longest name */
    bool upward;    /* names above the columns that are wider than those */
    int left, top;  /* of the matrix */
    int side;       /* of the matrix */
    int width, height;
};

static void cut_name(const char *name, char cut[NAME_MOST + 1]) { snprintf(cut, NAME_MOST + 1, "%s", name); }

static struct layout lay_out(const struct confusion *confusion, const char *title)
{
    struct layout layout;
    int n = confusion->classes, text = picture_text_width(caption) * 2;
    layout.cell = n <= NUMBERED_MOST ? (int)fmin(88, fmax(48, 640.0 / n)) : (int)fmax(2, 1200.0 / n);
    layout.scale = layout.cell >= 2 * LETTER_HEIGHT ? 2 : 1;
    layout.label_step = (layout.scale * LETTER_HEIGHT + layout.cell) / layout.cell;
    layout.names = 0;
    for (int c = 0; c < n; c++) {
        char name[NAME_MOST + 1];
        cut_name(confusion->names[c], name);
        layout.names = (int)fmax(layout.names, picture_text_width(name) * layout.scale);
    }
    layout.left = MARGIN + layout.names + MARGIN / 2;
    layout.upward = layout.names > layout.cell - 8;
    layout.top = MARGIN + 2 * LETTER_HEIGHT + MARGIN + (layout.upward ? layout.names : layout.scale * LETTER_HEIGHT) + MARGIN / 2;
    layout.side = n * layout.cell + 1;
    if (picture_text_width(title) * 2 > text)
        text = picture_text_width(title) * 2;
    layout.width = (int)fmax(layout.left + layout.side, MARGIN + text) + MARGIN;
    layout.height = layout.top + layout.side + MARGIN + 2 * LETTER_HEIGHT + MARGIN;
    return layout;
}

/* From white to the colour. */
static struct colour shade(struct colour full, double part)
{
    struct colour colour = { (uint8_t)(255 - part * (255 - full.r)), (uint8_t)(255 - part * (255 - full.g)), (uint8_t)(255 - part * (255 - full.b)) };
    return colour;
}

static void draw_number(struct picture *picture, const struct layout *layout, int x, int y, int64_t count, struct colour colour)
{
    char number[32];
    snprintf(number, sizeof number, "%" PRId64, count);
    int letters = picture_text_width(number), scale = letters * 2 <= layout->cell - 4 ? 2 : 1;
    if (letters * scale <= layout->cell - 2)
        picture_text(picture, x + (layout->cell - letters * scale) / 2, y + (layout->cell - (LETTER_HEIGHT - 1) * scale) / 2, &(struct text_style){ scale, false, colour }, number);
}

static void draw_cells(struct picture *picture, const struct layout *layout, const struct confusion *confusion)
{
    int gap = layout->cell >= LETTER_HEIGHT;
    for (int label = 0; label < confusion->classes; label++) {
        const int64_t *row = confusion_row(confusion, label), sum = confusion_row_sum(confusion, label);
        for (int c = 0; c < confusion->classes; c++) {
            int x = layout->left + gap + c * layout->cell, y = layout->top + gap + label * layout->cell, side = layout->cell - gap;
            double part = sum ? sqrt((double)row[c] / (double)sum) : 0;
            picture_fill(picture, x, y, side, side, shade(c == label ? right_colour : wrong_colour, part));
            if (row[c] && confusion->classes <= NUMBERED_MOST)
                draw_number(picture, layout, x, y, row[c], part > 0.6 ? white : black);
        }
    }
}

static void draw_names(struct picture *picture, const struct layout *layout, const struct confusion *confusion)
{
    const struct text_style level = { layout->scale, false, black }, upward = { layout->scale, true, black };
    int letter = LETTER_HEIGHT * layout->scale;
    for (int c = 0; c < confusion->classes; c += layout->label_step) {
        char name[NAME_MOST + 1];
        cut_name(confusion->names[c], name);
        int along = c * layout->cell, middle = along + (layout->cell - letter) / 2 + 1, width = picture_text_width(name) * layout->scale;
        picture_text(picture, layout->left - MARGIN / 2 - width, layout->top + middle, &level, name);
        if (layout->upward)
            picture_text(picture, layout->left + middle, layout->top - MARGIN / 2, &upward, name);
        else
            picture_text(picture, layout->left + along + (layout->cell - width) / 2 + 1, layout->top - MARGIN / 2 - letter, &level, name);
    }
}

int confusion_picture(const struct confusion *confusion, const char *title, const char *path, struct error *error)
{
    struct layout layout = lay_out(confusion, title);
    struct picture picture;
    if (picture_open(&picture, layout.width, layout.height, error))
        return -1;
    picture_text(&picture, MARGIN, MARGIN, &(struct text_style){ 2, false, black }, title);
    picture_fill(&picture, layout.left, layout.top, layout.side, layout.side, line);
    draw_cells(&picture, &layout, confusion);
    draw_names(&picture, &layout, confusion);
    picture_text(&picture, MARGIN, layout.height - MARGIN - 2 * LETTER_HEIGHT, &(struct text_style){ 2, false, black }, caption);
    int result = picture_save(&picture, path, error);
    picture_release(&picture);
    return result;
}
