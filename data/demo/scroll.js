// Fills the shelf from the API, fifty books each time its end comes into sight.
const shelf = document.getElementById("shelf");
const more = document.getElementById("more");
let cursor = null;

async function fill() {
    const address = shelf.dataset.api + (cursor ? "&cursor=" + encodeURIComponent(cursor) : "");
    const answer = await (await fetch(address)).json();
    for (const book of answer.books) {
        const place = document.createElement("li");
        const link = document.createElement("a");
        link.href = book.url;
        link.textContent = book.title + ", £" + book.price.toFixed(2);
        place.append(link);
        shelf.append(place);
    }
    cursor = answer.next;
    if (cursor) {
        watch.observe(more);
    } else {
        more.remove();
    }
}

const watch = new IntersectionObserver((seen) => {
    if (seen.some((each) => each.isIntersecting)) {
        watch.unobserve(more);
        fill();
    }
});
watch.observe(more);
